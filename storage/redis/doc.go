// Package redis keeps the records of Jeton in Redis or Valkey: one server, one
// under Sentinel, or a Cluster; for any number of processes on any number of
// machines. It is a [storage.Backend] and knows no more than that.
//
// # Layout
//
// Partitions are spread over 64 groups by a hash of their names. All keys of a
// group share a hash tag ({p000} to {p063}), hence a slot: what one commit
// writes is on one node of a Cluster, and a listing over all partitions merges
// 64 ordered sets. With the prefix "jeton" the keys are:
//
//	jeton:store               hash: the id of the store, its format, the number of groups
//	jeton:{p007}:m:ID         counter: changes of the group; ID is the store's
//	jeton:{p007}:m:ID:filling:N, :held:N, :moved
//	                          the same, while the Nth to do so fills the store, or
//	                          keeps it out of use; and of one that was left for good
//	jeton:{p007}:r:NAME       string: a row
//	jeton:{p007}:i:INDEX      sorted set: an index, over all partitions of the group
//	jeton:{p007}:p:PARTITION  sorted set: all indexes of one partition
//	jeton:{p007}:x            sorted set: what the sweeper has to remove, by time
//	jeton:{p007}:f:VERSION    string: a commit that must not happen any more
//
// NAME is partition, kind and id with NUL bytes between. All members of a sorted
// set that is an index have the score 0, so their order is that of their bytes:
// sort, partition, kind, id in an index; index, sort, kind, id in a partition.
// The row is described in rows.lua.
//
// # Commits
//
// One script, commit.lua, checks and writes a whole change. Redis runs nothing
// beside a script, so no two commits can both see their checks hold. The version
// that a commit gives to its rows is a random number, which makes it the name of
// the attempt: when the reply is lost, settle.lua looks whether a row carries it,
// and where none does, puts a fence in the way of a command that may still be
// under way. The client library never sends a command again by itself.
//
// Each script first looks for the marker of its group, which bears the id of the
// store that this process has opened: a Redis that was emptied or exchanged is
// away, not a store in which nobody has a session.
//
// # Expiry
//
// Rows carry the store time at which they count as absent, and a Redis expiry
// some days later, so that Redis needs nobody to get rid of them. Entries of
// indexes that point at nothing are struck out by the sweeper, or by the listing
// that meets them. Nothing ever walks the keyspace.
// With Options.Life every key has a Redis expiry, so that all of it goes by itself.
//
// # Durability
//
// An acknowledged write is as durable as the Redis that took it is set up:
// [Store.Durability] says what may be lost. With Options.WaitReplicas a commit
// is acknowledged when so many replicas have it too, and is [storage.ErrUnconfirmed]
// otherwise. Reads never go to replicas.
package redis
