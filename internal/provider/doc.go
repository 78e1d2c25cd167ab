// Package provider is everything that Shepherd says to Kubernetes, and the only package that imports
// a Kubernetes client.
//
// A Registry hands out one Cluster for each registered cluster and notices new credentials by
// itself. It sends nothing to one that does not work: after a few failures in a row all calls end at once, with
// the reason, until the cluster has proved that it is back and that it is the one that was added. A
// Cluster makes sure that a namespace is there (EnsureNamespace), says what a set of
// manifests, a deletion or a restart would do (Preview, PreviewDelete, PreviewRestart), does it (Apply,
// Delete, Restart), looks at a virtual machine (Observe) and describes the cluster (Facts). Judge and
// JudgeDeletion turn an observation into a verdict, without a cluster.
//
// Apply keeps five promises: an object that is not this VM's is never touched; an object that was
// replaced behind us is noticed; a manifest that changes nothing writes nothing; KubeVirt's lists
// that somebody else changed survive unless this change is about them; nothing is ever deleted. Delete
// keeps the first two, and two of its own: a disk that Shepherd did not make stays, and so does every
// disk where they are to be retained.
//
// Every error that a cluster or the road to it causes is an *Error: a problem for people, and a
// class for the job that met it. No error carries credentials or the content of a Secret.
package provider
