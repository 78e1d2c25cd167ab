// Package doctor judges whether everything around a server is as it has to be: the forge's App, its webhook and
// permissions, the protection of the governed branch, clocks, the database, clusters, the configuration. It is
// pure: [Facts] that others gathered go in, findings come out, each with what to do about it. What could not be
// looked at is a finding too: silence never means that something is right.
package doctor
