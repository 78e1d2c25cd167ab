package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/confirmation"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// request adds what people have said and done about a pull request besides its content: what approvers
// chose, who made it, who confirmed, how much its author asked for lately.
func (j *Judge) request(ctx context.Context, in *judge.Input, pull forge.PullRequest, h heads) error {
	if err := j.identify(ctx, in, pull, h); err != nil {
		return err
	}
	if err := j.afresh(ctx, in.Number); err != nil {
		return err
	}
	if err := j.confirmed(ctx, in); err != nil {
		return err
	}
	if err := j.rate(ctx, in); err != nil {
		return err
	}
	in.Limits = map[domain.Environment]judge.Limits{}
	for _, env := range []domain.Environment{"", domain.Test, domain.Prod} {
		l := policy.LimitsFor(j.settings.Limits, env, in.Bindings.Roles(in.Author, policy.Scope{Environment: env}))
		in.Limits[env] = judge.Limits{Creates: l.Creates, Deletes: l.Deletes, Modifications: l.Modifications, PowerOperations: l.PowerOperations}
	}
	in.SoloAdmin = j.soloAdmin(in)
	return nil
}

// planned are the choices that approvers made for the open tickets of a pull request, by path.
func (j *Judge) planned(ctx context.Context, number int) (map[string]judge.Planned, error) {
	rows, err := j.db.Ticket.Query().Where(ticket.PullRequest(number), ticket.PlannedNotNil(),
		ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED), ticket.HasEventWith(event.StatusEQ(event.StatusPENDING))).
		Select(ticket.FieldPath, ticket.FieldPlanned).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the plans of #%d: %w", number, err)
	}
	out := map[string]judge.Planned{}
	for _, row := range rows {
		var p judge.Planned
		if err := json.Unmarshal(row.Planned, &p); err != nil {
			return nil, fmt.Errorf("read the plan of %s: %w", row.Path, err)
		}
		out[row.Path] = p
	}
	return out, nil
}

// confirmed are the confirmations by people who may confirm, as things are now.
func (j *Judge) confirmed(ctx context.Context, in *judge.Input) error {
	since, err := j.epoch(ctx, in.Number)
	if err != nil {
		return err
	}
	rows, err := j.db.Confirmation.Query().Where(confirmation.PullRequest(in.Number), confirmation.AtGTE(since)).Order(ent.Asc(confirmation.FieldCreatedAt)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the confirmations of #%d: %w", in.Number, err)
	}
	in.Confirmed = map[string][]judge.Confirmation{}
	for _, row := range rows {
		ref, _, problems := spec.ParsePath(row.Path)
		if problems.Blocking() {
			continue
		}
		op, scope := removal(ref), scopeAt(in.Platform, ref)
		who := forge.Person{ID: row.PersonID, Login: row.PersonLogin}
		person, err := j.resolve(ctx, in.Bindings, who, scope, op)
		if err != nil {
			return err
		}
		if in.Bindings.CanConfirm(person, op, scope).Allowed {
			in.Confirmed[row.Path] = append(in.Confirmed[row.Path], judge.Confirmation{Digest: row.ChangeDigest, By: row.PersonLogin})
		}
	}
	return nil
}

// removal is the operation that ends what a path stands for.
func removal(ref spec.Ref) domain.Operation {
	switch ref.Kind {
	case spec.KindSystem:
		return domain.DeleteSystem
	case spec.KindService:
		return domain.DeleteService
	}
	return domain.DeleteVM
}

// scopeAt is what permissions for a governed path are asked of.
func scopeAt(platform *spec.Platform, ref spec.Ref) policy.Scope {
	scope := policy.Scope{System: ref.System}
	if ns, p := platform.Namespace(ref.Namespace); ref.Namespace != "" && p == nil {
		scope.Environment = ns.Environment
	}
	return scope
}

// resolve looks somebody up in the teams that matter for doing or approving an operation.
func (j *Judge) resolve(ctx context.Context, b *policy.Bindings, who forge.Person, scope policy.Scope, ops ...domain.Operation) (policy.Person, error) {
	plain := policy.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}
	var asks []policy.Ask
	for _, op := range ops {
		perm, _ := policy.Needs(op)
		asks = append(asks, policy.Ask{Person: plain, Permission: perm, Scope: scope},
			policy.Ask{Person: plain, Permission: policy.ApprovalNeeds(op), Scope: scope})
	}
	return j.people.Resolve(ctx, who, b.TeamsNeeded(asks...), scope.Environment == domain.Prod)
}

// rate is how much the author asked for in other pull requests lately.
func (j *Judge) rate(ctx context.Context, in *judge.Input) error {
	l := policy.LimitsFor(j.settings.Limits, "", in.Bindings.Roles(in.Author, policy.Scope{}))
	if l.Rate.Requests == 0 {
		return nil
	}
	in.Now = j.now()
	in.Rate = judge.Rate{Limit: l.Rate.Requests, Window: l.Rate.Per}
	asked, err := j.db.Event.Query().Where(event.RequestedBy(in.Author.ID), event.PullRequestNEQ(in.Number), event.RetryOfIsNil(),
		event.CreatedAtGT(in.Now.Add(-l.Rate.Per))).Order(ent.Asc(event.FieldCreatedAt)).Select(event.FieldID, event.FieldCreatedAt).Limit(10 * l.Rate.Requests).All(ctx)
	if err != nil {
		return fmt.Errorf("count what %s asked for: %w", in.Author.Login, err)
	}
	in.Rate.Used = len(asked)
	if len(asked) > 0 {
		in.Rate.FreeAt = asked[max(0, len(asked)-l.Rate.Requests)].CreatedAt.Add(l.Rate.Per)
	}
	return nil
}

// soloAdmin reports whether the only platform administrator there is changes the platform alone.
func (j *Judge) soloAdmin(in *judge.Input) bool {
	if !j.settings.SoloAdmin || !in.Bindings.SoleAdministrator(in.Author) {
		return false
	}
	for _, pushers := range in.Pushers {
		if slices.ContainsFunc(pushers, func(p policy.Person) bool { return p.ID != in.Author.ID }) {
			return false
		}
	}
	return true
}

// afresh asks the forge when the pull request was last reopened or aimed at another branch: the webhook that told may be
// lost, and what was said before does not count. Of one that was never judged nobody can have said anything that does.
func (j *Judge) afresh(ctx context.Context, number int) error {
	row, err := j.db.PullRequest.Get(ctx, number)
	if ent.IsNotFound(err) || err == nil && row.Judged == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read #%d: %w", number, err)
	}
	at, err := j.forge.Restarted(ctx, number)
	if err != nil {
		return fmt.Errorf("ask whether #%d was reopened: %w", number, err)
	}
	if at.IsZero() || row.Epoch != nil && !row.Epoch.Before(at) {
		return nil
	}
	return j.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return approval.StartAfresh(ctx, tx, number, at) })
}

// epoch is from when on what people say of a pull request counts.
func (j *Judge) epoch(ctx context.Context, number int) (time.Time, error) {
	row, err := j.db.PullRequest.Get(ctx, number)
	if ent.IsNotFound(err) || err == nil && row.Epoch == nil {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read #%d: %w", number, err)
	}
	return *row.Epoch, nil
}

// platformFolders are what moves only as a whole: the rules, and what steers the forge.
var platformFolders = []string{"platform", ".github", ".gitea", "CODEOWNERS", "docs/CODEOWNERS"}

// nextPlatform reads the platform as the head has it, and what of the branch's is not accepted, where the
// files change any of it.
func (j *Judge) nextPlatform(ctx context.Context, in *judge.Input, h heads) error {
	if !slices.ContainsFunc(in.Files, func(f judge.File) bool {
		ref, governed, problems := spec.ParsePath(f.Path)
		return governed && !problems.Blocking() && ref.Platform()
	}) {
		return nil
	}
	platform, problems, err := j.rules.Draft(ctx, h.head)
	if err != nil {
		return err
	}
	in.Next = &judge.NextPlatform{Platform: platform, Problems: problems}
	changes, err := j.mirror.Diff(ctx, gitops.SHA(in.PlatformCommit), h.tip, platformFolders...)
	if err != nil {
		return fmt.Errorf("compare the branch's platform with the accepted one: %w", err)
	}
	for _, c := range changes {
		same, err := j.sameMeaning(ctx, c.Path, gitops.SHA(in.PlatformCommit), h.tip)
		if err != nil {
			return err
		}
		if ref, governed, found := spec.ParsePath(c.Path); governed && !same && (found.Blocking() || ref.Platform()) {
			in.PlatformDrift = append(in.PlatformDrift, c.Path)
		}
	}
	return nil
}

// errNoBaseline says that nothing was ever accepted.
var errNoBaseline = errors.New("the repository has no baseline yet (shepherd repo baseline SHA)")
