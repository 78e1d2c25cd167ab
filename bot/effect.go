package bot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/internal/store"
)

// record is where it stands what the bot does at the forge: under a unique key before it is done, with its result
// after. Where it only stands that it was about to be done, nobody knows how that went: it is looked for, and done
// where it is not there.
type record struct {
	db  *store.DB
	now func() time.Time
}

// deed is something done at the forge, once. Whoever does it holds a lock that keeps others from doing it too.
type deed struct {
	key  string
	note string // what has to be known to go on from it
	// do does it, and returns what has to be known of it later.
	do func(ctx context.Context) (string, error)
	// look finds it where an earlier attempt has not told how it went: forge.ErrNotFound where it is not there. Nil:
	// doing it twice changes nothing.
	look func(ctx context.Context) (string, error)
	// wakes says that people are notified of it. Then it is looked for also where nothing is known of an earlier attempt:
	// a database that was restored from a backup does not know what was said after that.
	wakes bool
	// noted writes what follows from it together with its result.
	noted func(ctx context.Context, tx *store.Tx, result string) error
}

// once does what was not done yet, and returns its result.
func (r record) once(ctx context.Context, d deed) (string, error) {
	e, again, err := r.intend(ctx, d.key, d.note)
	if err != nil {
		return "", err
	}
	if e.Status == effect.StatusDone {
		return e.Result, nil
	}
	result, err := d.carryOut(ctx, again)
	if err != nil {
		return "", fmt.Errorf("effect %s: %w", d.key, err)
	}
	return result, r.end(ctx, d.key, effect.StatusDone, result, d.noted)
}

func (d deed) carryOut(ctx context.Context, again bool) (string, error) {
	if (again || d.wakes) && d.look != nil {
		result, err := d.look(ctx)
		if !errors.Is(err, forge.ErrNotFound) {
			return result, err
		}
	}
	return d.do(ctx)
}

// intend writes down that something is about to be done. again says that it was written down before.
func (r record) intend(ctx context.Context, key, note string) (e *ent.Effect, again bool, err error) {
	e, err = r.db.Effect.Get(ctx, key)
	again = err == nil
	if ent.IsNotFound(err) {
		e, err = r.db.Effect.Create().SetID(key).SetNote(note).Save(ctx)
	}
	if err != nil {
		return nil, false, fmt.Errorf("note effect %s: %w", key, err)
	}
	return e, again, nil
}

// end writes down how it went. noted may be nil.
func (r record) end(ctx context.Context, key string, status effect.Status, result string, noted func(context.Context, *store.Tx, string) error) error {
	err := r.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Effect.UpdateOneID(key).SetStatus(status).SetResult(result).SetDoneAt(r.now()).Exec(ctx); err != nil {
			return err
		}
		if noted == nil {
			return nil
		}
		return noted(ctx, tx, result)
	})
	if err != nil {
		return fmt.Errorf("note the result of %s: %w", key, err)
	}
	return nil
}

// forget takes back what was written down of something that was not tried.
func (r record) forget(ctx context.Context, key string) error {
	if _, err := r.db.Effect.Delete().Where(effect.ID(key), effect.StatusEQ(effect.StatusIntended)).Exec(ctx); err != nil {
		return fmt.Errorf("forget effect %s: %w", key, err)
	}
	return nil
}

// checkForge is what checks are written to.
type checkForge interface {
	CreateCheck(ctx context.Context, c forge.Check) (forge.Posted, error)
	FindCheck(ctx context.Context, c forge.Check) (forge.Posted, error)
}

// posting is a check that is to be written. Its key, which stands for a commit's check of a name, is used again and
// again: what it says changes, and may change back.
type posting struct {
	key   string
	check forge.Check
	// then does what the check's being there leads to, before that is written down: after a crash it is done again.
	then func(ctx context.Context, p forge.Posted) error
	// noted writes what follows from it together with its result.
	noted func(ctx context.Context, tx *store.Tx, result string) error
}

// post writes a check, unless an earlier attempt that has not told how it went has left that very check there.
func (r record) post(ctx context.Context, f checkForge, p posting) error {
	e, again, err := r.intend(ctx, p.key, "")
	if err != nil {
		return err
	}
	unknown := again && e.Status == effect.StatusIntended
	if again && !unknown {
		if err := r.db.Effect.UpdateOne(e).SetStatus(effect.StatusIntended).ClearDoneAt().Exec(ctx); err != nil {
			return fmt.Errorf("note effect %s: %w", p.key, err)
		}
	}
	posted, err := forge.Posted{}, error(forge.ErrNotFound)
	if unknown {
		posted, err = f.FindCheck(ctx, p.check)
	}
	if errors.Is(err, forge.ErrNotFound) {
		posted, err = f.CreateCheck(ctx, p.check)
	}
	if err != nil {
		return fmt.Errorf("post %s: %w", p.check.Name, err)
	}
	if p.then != nil {
		if err := p.then(ctx, posted); err != nil {
			return err
		}
	}
	return r.end(ctx, p.key, effect.StatusDone, p.check.ExternalID, p.noted)
}

// checkPrefix is that of the keys of checks.
const checkPrefix = "check:"

// checkKey is the unique key of a check of a name, as one pull request or group says it.
func checkKey(of, name string) string { return checkPrefix + of + ":" + name }
