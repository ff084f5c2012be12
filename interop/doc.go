// Package interop runs the OAuth clients and JWT libraries that other people
// wrote, as they are published, against the real command: built from this tree,
// started on a free port, its clients and users made by its own command line.
// What is proved here is that a stranger's program works; how the server
// behaves in detail is proved beside its packages.
//
// It is a module of its own, so that none of these libraries is a requirement
// of the server.
package interop
