// Package command reads what people write to Shepherd in comments and reviews: which lines are
// commands, which code block is a plan, and what the plan says. Text goes in, values and problems come
// out; who may do what, and whether it fits the pull request, is decided elsewhere.
//
// A comment is read as the forge shows it, by a Markdown parser and not by patterns: a command is the
// first word of a line in a paragraph of the comment itself. What is quoted, shown as code, struck
// out, folded, hidden in HTML or part of a list, table or heading commands nothing. When in doubt a
// line is no command, while a code block that looks like a plan makes an approval none.
//
// The package is pure. Whatever was written, no function panics, and each answers in bounded time.
//
// Read in this order: command.go (what comes out), markdown.go (what counts as a line), html.go (what is
// hidden), plan.go and modified.go (what a plan says), confirm.go.
package command
