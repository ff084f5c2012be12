// Package proof holds the tests that need real processes: several servers on
// one store at once, and servers that are killed. They build the jeton command
// and use it from outside, over HTTP and the command line, as a client and an
// operator would. There is no other code in it.
package proof
