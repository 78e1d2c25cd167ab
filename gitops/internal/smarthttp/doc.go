// Package smarthttp fetches from a git server over HTTP with protocol version 2.
//
// go-git speaks versions 0 and 1, in which a server begins every fetch with the list of all its
// references: on a forge two for each pull request ever made. Version 2 lists only the references
// that are asked for, takes any commit id as a want, and lets the client leave out large files. Every
// forge and git since 2.18 speak it.
//
// See gitprotocol-v2 and gitprotocol-http in git's documentation for the format.
package smarthttp
