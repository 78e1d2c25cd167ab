package jobs

import "github.com/riverqueue/river"

// AnswerCommands carries out what people wrote in comments and reviews of a pull request, and answers.
type AnswerCommands struct {
	Number int `json:"number"`
}

// Kind names the job in the database; it is never renamed.
func (AnswerCommands) Kind() string { return "answer_commands" }

// InsertOpts puts answers beside judging.
func (AnswerCommands) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 2} }
