// Package published holds what GitHub publishes about itself in a form that machines read, for tests: example
// payloads of its webhooks. README.md says where the data comes from; `make generate-github` writes it anew.
package published
