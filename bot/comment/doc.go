// Package comment writes what people read on a pull request: the comment, the checks with their
// annotations, the closing remark. It is pure: a View in, Markdown out. What people wrote is echoed
// only escaped, short and in code spans, so that it can neither mention nor link.
package comment
