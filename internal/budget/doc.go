// Package budget keeps to what a forge lets the bot do, for all replicas together: their knowledge is in PostgreSQL.
//
//   - A [Limiter] gives leave to send requests. While many are left in the period it knows that from the answers and costs
//     no round trip; where few are left, each request is taken from a counter that the replicas share, and what only tells
//     news waits until the period ends. Requests that create something are taken from a log of their own before they are
//     sent. Where the forge asked for silence, nobody sends.
//   - [Answers] keeps what the forge answered, to ask whether it is still so, which costs nothing where it is.
//
// Nothing here fails a request because the database does not answer: then each process goes by what it knows itself.
package budget
