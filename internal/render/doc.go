// Package render turns what was asked for and what the platform offers into the Kubernetes objects
// that would be applied, and says what is wrong with them before any cluster is asked.
//
// Everything here is a pure function: the same [Input] gives the same bytes, on every machine and
// in every process, because those bytes are what people approve and what the worker applies.
//
//   - [Render] lays template ← size ← request over each other and returns [Manifest]s in the order
//     in which they are applied: Secrets, disks, VirtualMachine.
//   - [Check] is the semantic check of a VirtualMachine without a cluster: the CRD's schema holds
//     almost no enums and no rule between two fields, so KubeVirt's own webhooks are the first to
//     find such mistakes, and they are asked too late for a pull request. Render runs it.
//     It knows what differs between the KubeVirt releases that clusters run ([KubeVirt]), and is held to
//     KubeVirt's own verdicts on a corpus of VMs (testdata/corpus).
//   - [JudgeImpact] says what a change does to a VM that runs: nothing, live, by a migration, at the next
//     restart. [JudgeManifests] does so without a cluster.
//   - [EffectiveDigest] names a plan: the choices made for it and its manifests.
//   - [WithEnvelope] writes onto a manifest why it exists (ticket, creator, pull request). The
//     envelope is no part of the effective digest, so it can be added after approval.
//
// Objects are built from KubeVirt's and CDI's own Go types and reach [Manifest.JSON] without status,
// null timestamps and empty defaults: server-side apply owns each field that it is sent.
package render
