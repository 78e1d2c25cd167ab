package budget

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
)

// What is kept, and for how long.
const (
	keepFor  = 72 * time.Hour
	keepSize = 64 << 20
	// maxBody bounds what a kept body becomes; drivers keep less.
	maxBody = 4 << 20
)

// Answers keeps what the forge answered. It is for any number of goroutines, and of processes on one database.
type Answers struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// NewAnswers gives a keeper of answers.
func NewAnswers(pool *pgxpool.Pool, log *slog.Logger) *Answers { return &Answers{pool: pool, log: log} }

// Load finds an answer. Where there is none, or none can be read, it is false.
func (s *Answers) Load(ctx context.Context, key string) (forge.Answer, bool) {
	a, found, err := s.load(ctx, key)
	if err != nil {
		s.log.WarnContext(ctx, "read an answer of the forge", "error", err)
		return forge.Answer{}, false
	}
	return a, found
}

func (s *Answers) load(ctx context.Context, key string) (a forge.Answer, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var tags string
	var packed []byte
	var old bool
	const query = `select etags, link, content_type, body, used_at < now() - interval '1 hour' from forge_cache where id = $1`
	err = s.pool.QueryRow(ctx, query, key).Scan(&tags, &a.Link, &a.ContentType, &packed, &old)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, false, nil
	}
	if err != nil {
		return a, false, err
	}
	if old {
		if _, err := s.pool.Exec(ctx, `update forge_cache set used_at = now() where id = $1`, key); err != nil {
			return a, false, err
		}
	}
	a.ETags = strings.Split(tags, " ")
	a.Body, err = unpack(packed)
	return a, err == nil, err
}

// Keep keeps an answer, if it can.
func (s *Answers) Keep(ctx context.Context, key string, a forge.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	const query = `insert into forge_cache as c (id, etags, link, content_type, body, used_at) values ($1, $2, $3, $4, $5, now())
on conflict (id) do update set etags = $2, link = $3, content_type = $4, body = $5, used_at = now()`
	packed, err := pack(a.Body)
	if err == nil {
		_, err = s.pool.Exec(ctx, query, key, strings.Join(a.ETags, " "), a.Link, a.ContentType, packed)
	}
	if err != nil {
		s.log.WarnContext(ctx, "keep an answer of the forge", "error", err)
	}
}

// Prune deletes what was not asked for lately, and of the rest what was not for the longest time, where it is too much.
func (s *Answers) Prune(ctx context.Context) error {
	const query = `with sized as (select id, used_at, sum(octet_length(body) + octet_length(link) + 300) over (order by used_at desc, id) as total from forge_cache)
delete from forge_cache c using sized where c.id = sized.id and (sized.used_at < now() - make_interval(secs => $1) or sized.total > $2)`
	if _, err := s.pool.Exec(ctx, query, keepFor.Seconds(), keepSize); err != nil {
		return fmt.Errorf("prune the forge's answers: %w", err)
	}
	return nil
}

// packers are reused: one takes a megabyte.
var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

func pack(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(packed))
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(body) > maxBody {
		return nil, errors.New("decompress: it is too large")
	}
	return body, nil
}
