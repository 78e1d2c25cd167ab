package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	entcommand "kv-shepherd.io/shepherd/ent/command"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// answerForge is what answering writes to.
type answerForge interface {
	React(ctx context.Context, commentID int64, reaction string) error
	CreateComment(ctx context.Context, number int, body string) (forge.Posted, error)
	FindComment(ctx context.Context, number int, marker string) (id int64, body string, err error)
	CommitOnHead(ctx context.Context, branch, headSHA string, edits []forge.FileEdit, message string) (sha string, err error)
	Suggest(ctx context.Context, number int, headSHA, path string, startLine, endLine int, body string) (forge.Posted, error)
	FindSuggestion(ctx context.Context, number int, path, body string) (id int64, err error)
}

// Commander carries out what people write in comments, and answers each comment once.
type Commander struct {
	judge  *Judge
	teller *Teller
	forge  answerForge
	push   bool
	log    *slog.Logger
}

// NewCommander gives a commander. push lets it commit planned specs to the branches that they are for.
func NewCommander(j *Judge, t *Teller, f answerForge, push bool, log *slog.Logger) *Commander {
	return &Commander{judge: j, teller: t, forge: f, push: push, log: log}
}

// freshness is how long commands wait for a judging that is due: they are about what was judged last.
const freshness = 5 * time.Minute

// Run answers what was asked of one pull request and not answered yet.
func (c *Commander) Run(ctx context.Context, args jobs.AnswerCommands) error {
	return locked(ctx, c.judge.pool, pullLock(args.Number), func(ctx context.Context) error {
		if err := c.run(ctx, args.Number); err != nil {
			return fmt.Errorf("answer on #%d: %w", args.Number, err)
		}
		return nil
	})
}

func (c *Commander) run(ctx context.Context, number int) error {
	row, err := c.judge.db.PullRequest.Get(ctx, number)
	if ent.IsNotFound(err) {
		return jobs.Never(errors.New("there is no such pull request"))
	}
	if err != nil {
		return err
	}
	open, err := c.judge.db.Command.Query().Where(entcommand.PullRequest(number), entcommand.StatusEQ(entcommand.StatusReceived)).
		Order(ent.Asc(entcommand.FieldAt, entcommand.FieldSourceID, entcommand.FieldOrdinal)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the commands: %w", err)
	}
	behind := row.State == pullrequest.StateOpen && row.Wanted > row.Judged
	if behind && len(open) > 0 && c.judge.now().Sub(open[0].At) < freshness {
		return jobs.Later(busy, errors.New("it is being judged"))
	}
	d := &docket{Commander: c, row: row}
	for _, cmd := range open {
		answer, err := d.carryOut(ctx, cmd)
		if err != nil {
			return fmt.Errorf("/%s: %w", cmd.Verb, err)
		}
		if err := c.record(ctx, cmd, answer); err != nil {
			return err
		}
	}
	return c.reply(forge.News(ctx), number)
}

// record keeps the answer. What the command did is in the database before; done twice it changes nothing.
func (c *Commander) record(ctx context.Context, cmd *ent.Command, answer comment.Answer) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return c.judge.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		status := entcommand.StatusDone
		if answer.Problems.Blocking() {
			first := answer.Problems.Sorted()[0]
			status = entcommand.StatusRefused
			err := audit.Append(ctx, tx, audit.Entry{
				Action: audit.CommandRefused, Actor: audit.Actor{ID: cmd.AuthorID, Login: cmd.AuthorLogin}, PullRequest: cmd.PullRequest,
				Params: map[string]any{"command": cmd.Verb, "code": string(first.Code), "message": first.Message},
			})
			if err != nil {
				return err
			}
		}
		if err := tx.Command.UpdateOne(cmd).SetStatus(status).SetAnswer(data).SetAnsweredAt(c.judge.now()).Exec(ctx); err != nil {
			return fmt.Errorf("keep the answer: %w", err)
		}
		if status == entcommand.StatusRefused || !moves[cmd.Verb] {
			return nil
		}
		return approval.Want(ctx, tx, c.judge.queue, cmd.PullRequest)
	})
}

// moves are the verbs after which the pull request has to be judged again.
var moves = map[string]bool{
	string(command.VerbPlan): true, string(command.VerbConfirm): true, string(command.VerbHold): true, string(command.VerbUnhold): true,
}

// source is a comment or review that holds commands.
type source struct {
	kind string
	id   int64
	at   time.Time
}

// old reports whether it may have been answered long ago, which a database that was restored from a backup does not know.
func (s source) old(now time.Time) bool { return now.Sub(s.at) > time.Minute }

// reply answers every comment whose commands are all carried out, once.
func (c *Commander) reply(ctx context.Context, number int) error {
	const unanswered = `select source, source_id, min(at) from commands c where pull_request = $1
and not exists (select 1 from effects e where e.id = 'reply:' || c.source || ':' || c.source_id and e.status = 'done')
group by source, source_id having bool_and(status <> 'received') order by min(at), source_id`
	var due []source
	err := c.judge.db.Rows(ctx, unanswered, []any{number}, func(row pgx.Rows) error {
		var s source
		if err := row.Scan(&s.kind, &s.id, &s.at); err != nil {
			return fmt.Errorf("read what was not answered: %w", err)
		}
		due = append(due, s)
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range due {
		if err := c.replyTo(ctx, number, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Commander) replyTo(ctx context.Context, number int, s source) error {
	answers, err := c.answers(ctx, s)
	if err != nil {
		return err
	}
	asked := comment.Asked{Source: s.kind, ID: s.id}
	_, err = c.teller.record.once(ctx, deed{
		key: fmt.Sprintf("reply:%s:%d", s.kind, s.id),
		do: func(ctx context.Context) (string, error) {
			if gone, err := c.react(ctx, s, answers); err != nil || gone || !speaks(answers) {
				return "", err
			}
			row, err := c.judge.db.PullRequest.Get(ctx, number)
			if err != nil {
				return "", err
			}
			v, err := c.teller.view(ctx, row)
			if err != nil {
				return "", err
			}
			posted, err := c.forge.CreateComment(ctx, number, comment.Reply(v, asked, answers))
			return posted.URL, err
		},
		look: func(ctx context.Context) (string, error) {
			_, _, err := c.forge.FindComment(ctx, number, comment.ReplyMark(asked))
			return "", err
		},
		wakes: speaks(answers) && s.old(c.judge.now()),
	})
	return err
}

// react shows at the comment whether what it asks for was done; a second time changes nothing. A comment that is
// gone is not answered. Reviews have no reactions.
func (c *Commander) react(ctx context.Context, s source, answers []comment.Answer) (gone bool, err error) {
	if s.kind != string(entcommand.SourceComment) {
		return false, nil
	}
	err = c.forge.React(ctx, s.id, reaction(answers))
	if errors.Is(err, forge.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("react: %w", err)
	}
	return false, nil
}

func (c *Commander) answers(ctx context.Context, s source) (out []comment.Answer, err error) {
	rows, err := c.judge.db.Command.Query().Where(entcommand.SourceEQ(entcommand.Source(s.kind)), entcommand.SourceID(s.id)).
		Order(ent.Asc(entcommand.FieldOrdinal)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the answers: %w", err)
	}
	for _, row := range rows {
		var a comment.Answer
		if err := json.Unmarshal(row.Answer, &a); err != nil {
			return nil, fmt.Errorf("read an answer: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}

// reaction shows at once whether anything was not done.
func reaction(answers []comment.Answer) string {
	for _, a := range answers {
		if a.Problems.Blocking() {
			return "confused"
		}
	}
	return "+1"
}

// speaks reports whether there is more to say than a reaction does: the comment shows what became of a
// hold or a confirmation.
func speaks(answers []comment.Answer) bool {
	for _, a := range answers {
		switch command.Verb(a.Verb) {
		case command.VerbConfirm, command.VerbHold, command.VerbUnhold, command.VerbRetry:
			if a.Problems.Blocking() {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// written is a command as its author sees it.
func written(cmd *ent.Command) string {
	return strings.Join(append([]string{"/" + cmd.Verb}, cmd.Args...), " ")
}

func refusedBecause(code domain.Code, message, hint string) domain.Problems {
	return domain.Problems{{Code: code, Severity: domain.Error, Message: message, Hint: hint}}
}
