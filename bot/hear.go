package bot

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/bot/forge"
	entcommand "kv-shepherd.io/shepherd/ent/command"
	"kv-shepherd.io/shepherd/ent/predicate"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// statement is a comment or review as it came in.
type statement struct {
	source   entcommand.Source
	id       int64 // of the comment or review
	number   int
	author   forge.Person
	body     string
	at       time.Time
	delivery string
}

// The verbs under which what is no command, but was meant as one, is kept to be answered.
const (
	verbUnknown = "unknown" // args: the word, and what was probably meant
	verbProblem = "problem" // block: the problem as JSON
)

// heard keeps the commands of a statement as it was first submitted, and asks for them to be carried
// out. Bots are not listened to: two that answer each other never end. It returns how many there are that were not kept
// before.
func (r *Router) heard(ctx context.Context, tx *store.Tx, s statement) (int, error) {
	if s.author.Bot || !s.author.Known() || s.author.ID == r.self.ID {
		return 0, nil
	}
	fresh := 0
	for i, c := range linesOf(command.Parse(s.body)) {
		args, err := json.Marshal(c.args)
		if err != nil {
			return 0, fmt.Errorf("keep a command of #%d: %w", s.number, err)
		}
		const insert = `insert into commands (id, source, source_id, ordinal, pull_request, author_id, author_login, author_bot, verb, args, line, block, at, delivery_id, status)
values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, false, $7, $8, $9, $10, $11, $12, 'received') on conflict (source, source_id, ordinal) do nothing`
		tag, err := tx.PGX.Exec(ctx, insert, string(s.source), s.id, i, s.number, s.author.ID, s.author.Login, c.verb, string(args), c.line, c.block, s.at, s.delivery)
		if err != nil {
			return 0, fmt.Errorf("keep a command of #%d: %w", s.number, err)
		}
		fresh += int(tag.RowsAffected())
	}
	if fresh == 0 {
		return 0, nil
	}
	if err := approval.Want(ctx, tx, r.queue, s.number); err != nil { // commands are about what is now
		return 0, err
	}
	return fresh, r.queue.Add(ctx, tx.PGX, jobs.AnswerCommands{Number: s.number})
}

// Overhear takes the commands of comments that no webhook told of, as if one had. A comment that was heard before adds
// nothing. It returns how many commands were not heard before.
func (r *Router) Overhear(ctx context.Context, said []forge.PullComment) (commands int, err error) {
	for _, c := range said {
		err = r.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			n, err := r.heard(ctx, tx, statement{
				source: entcommand.SourceComment, id: c.ID, number: c.PullRequest, author: c.Author, body: c.Body, at: c.CreatedAt,
			})
			commands += n
			return err
		})
		if err != nil {
			return commands, err
		}
	}
	return commands, nil
}

// line is one row of the commands table.
type line struct {
	verb, block string
	args        []string
	line        int
}

func linesOf(p command.Parsed) (out []line) {
	for _, c := range p.Commands {
		l := line{verb: string(c.Verb), args: c.Args, line: c.Line}
		if c.Block != nil {
			l.block = c.Block.Text
		}
		out = append(out, l)
	}
	for _, u := range p.Unknown {
		out = append(out, line{verb: verbUnknown, args: []string{u.Word, string(u.Suggestion)}, line: u.Line})
	}
	for _, problem := range p.Problems {
		if data, err := json.Marshal(problem); err == nil {
			out = append(out, line{verb: verbProblem, block: string(data), line: problem.Line})
		}
	}
	slices.SortStableFunc(out, func(a, b line) int { return cmp.Compare(a.line, b.line) }) // answered in the order in which they stand
	return out
}

// noteEdit writes down that somebody changed or removed words that had been taken as commands. They
// stay what they were. It reports whether there were any.
func noteEdit(ctx context.Context, tx *store.Tx, s statement, e forge.Event) (bool, error) {
	if s.author.Bot {
		return false, nil
	}
	was := []predicate.Command{entcommand.SourceEQ(s.source), entcommand.SourceID(s.id)}
	taken, err := tx.Command.Query().Where(was...).Exist(ctx)
	if err != nil {
		return false, fmt.Errorf("look for the commands of #%d: %w", s.number, err)
	}
	if !taken && len(command.Parse(s.body).Commands) == 0 {
		return false, nil
	}
	return true, audit.Append(ctx, tx, audit.Entry{
		Action: audit.TextEdited, Actor: audit.Actor{ID: e.Sender.ID, Login: e.Sender.Login}, PullRequest: s.number,
		Params: map[string]any{"source": string(s.source), "id": s.id, "action": e.Action, "author": s.author.Login},
	})
}
