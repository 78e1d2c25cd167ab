// Package service does what events ask for on clusters, asks them beforehand what plans would do there
// (Previewer), and keeps what is needed to reach them. It decides nothing: what is applied was planned,
// approved and stored before.
package service
