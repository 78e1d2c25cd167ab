// Package comment writes what people read on a pull request: the comment, the checks with their
// annotations and those of a merge queue's groups, the notices that are written once (a decision, a
// reminder, the end), and the replies to commands. It is pure: a View in, Markdown out. What people wrote is
// echoed only escaped, short and in code spans, so that it can neither mention nor link. Only the
// notices mention anybody. Every text begins with a hidden mark, by which the bot finds it again.
package comment
