package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/ent/claim"
	"kv-shepherd.io/shepherd/ent/instanceindex"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// Rules are the platform in force, read at one commit.
type Rules struct {
	Commit   string
	Platform *spec.Platform
	Policies *policy.Set
}

// RuleBook reads platforms from the mirror and keeps those that it read, by the hash of their folder.
type RuleBook struct {
	mirror   *gitops.Mirror
	compiler *policy.Compiler
	options  policy.Options

	mu    sync.Mutex
	cache map[gitops.SHA]Rules
}

// NewRuleBook gives an empty book.
func NewRuleBook(mirror *gitops.Mirror, compiler *policy.Compiler, options policy.Options) *RuleBook {
	return &RuleBook{mirror: mirror, compiler: compiler, options: options, cache: map[gitops.SHA]Rules{}}
}

// Bounds of a platform/ folder, and how many versions of it are kept parsed.
const (
	maxPlatformFiles = 5000
	maxPlatformBytes = 32 << 20
	keptPlatforms    = 8
)

// At reads the rules of a commit. A platform with an error among its problems cannot be judged by; the
// problems come back with an error.
func (b *RuleBook) At(ctx context.Context, commit string) (Rules, domain.Problems, error) {
	sha := gitops.SHA(commit)
	tree, err := b.mirror.TreeHash(sha, "platform")
	if err != nil {
		return Rules{}, nil, fmt.Errorf("find the platform at %s: %w", sha.Short(), err)
	}
	b.mu.Lock()
	rules, ok := b.cache[tree]
	b.mu.Unlock()
	if ok {
		rules.Commit = commit
		return rules, nil, nil
	}
	return b.read(ctx, sha, tree)
}

// Draft reads the platform of a commit that nobody has accepted, with all its problems.
func (b *RuleBook) Draft(ctx context.Context, sha gitops.SHA) (*spec.Platform, domain.Problems, error) {
	rules, problems, err := b.load(ctx, sha)
	return rules.Platform, problems, err
}

func (b *RuleBook) load(ctx context.Context, sha gitops.SHA) (Rules, domain.Problems, error) {
	files, err := b.mirror.ReadTree(ctx, sha, "platform", maxPlatformFiles, maxPlatformBytes)
	if err != nil && !errors.Is(err, gitops.ErrNotFound) {
		return Rules{}, nil, fmt.Errorf("read the platform at %s: %w", sha.Short(), err)
	}
	content := map[string][]byte{}
	for _, f := range files {
		content[f.Path] = f.Data
	}
	platform, problems := spec.LoadPlatform(content)
	set, more := b.compiler.CompilePlatform(platform, b.options)
	return Rules{Commit: string(sha), Platform: platform, Policies: set}, append(problems, more...), nil
}

func (b *RuleBook) read(ctx context.Context, sha, tree gitops.SHA) (Rules, domain.Problems, error) {
	rules, problems, err := b.load(ctx, sha)
	if err != nil {
		return Rules{}, nil, err
	}
	if problems.Blocking() {
		return Rules{}, problems, fmt.Errorf("the platform at %s has errors: %w", sha.Short(), problems.Sorted()[0])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.cache) >= keptPlatforms {
		clear(b.cache)
	}
	b.cache[tree] = rules
	return rules, problems, nil
}

// world looks up what a judging of these files has to know: what their paths and parents are, not the
// fleet.
type world struct {
	db     *store.DB
	number int
	files  []judge.File
	refs   []spec.Ref
	// planned are the choices in force for the pull request, which may name other addresses.
	planned map[string]judge.Planned
	out     judge.World
}

// lookUp fills a World and the accepted specs of the paths.
func lookUp(ctx context.Context, db *store.DB, number int, files []judge.File, planned map[string]judge.Planned) (judge.World, map[string]judge.Accepted, []policy.SystemPeople, error) {
	w := &world{db: db, number: number, files: files, planned: planned, out: judge.World{
		Systems: map[string]bool{}, Services: map[string]string{}, Names: map[string]string{}, Indexes: map[string][]int{},
		Claims: map[string]judge.Claim{}, Clusters: map[string]judge.ClusterFacts{}, SystemKeys: map[string][]string{},
		Home: map[string]string{}, Chosen: map[string]string{}, Machines: map[string]judge.Machine{}, Below: map[string][]string{},
		Leftovers: map[string][]string{}, InUse: map[string]int{}, Addresses: map[string]string{}, SystemLimits: map[string]*spec.Limits{},
	}}
	for _, f := range files {
		if ref, governed, problems := spec.ParsePath(f.Path); governed && !problems.Blocking() {
			w.refs = append(w.refs, ref)
		}
	}
	specs, err := w.accepted(ctx)
	if err != nil {
		return judge.World{}, nil, nil, err
	}
	people, err := w.systems(ctx)
	if err != nil {
		return judge.World{}, nil, nil, err
	}
	for _, step := range []func(context.Context) error{w.services, w.names, w.indexes, w.claims, w.clusters, w.homes, w.chosen, w.machines, w.addresses, w.below, w.inUse, w.usage} {
		if err := step(ctx); err != nil {
			return judge.World{}, nil, nil, err
		}
	}
	return w.out, specs, people, nil
}

// each collects one property of the refs, without repetitions and empty ones.
func (w *world) each(of func(spec.Ref) string) []string {
	var out []string
	for _, r := range w.refs {
		if v := of(r); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func system(r spec.Ref) string    { return r.System }
func service(r spec.Ref) string   { return r.Service }
func namespace(r spec.Ref) string { return r.Namespace }
func path(r spec.Ref) string      { return r.Path() }
func vmName(r spec.Ref) string {
	if r.Kind != spec.KindVirtualMachine {
		return ""
	}
	return r.VMName()
}

func (w *world) accepted(ctx context.Context) (map[string]judge.Accepted, error) {
	rows, err := w.db.Accepted.Query().Where(accepted.IDIn(w.each(path)...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the accepted specs: %w", err)
	}
	out := map[string]judge.Accepted{}
	for _, row := range rows {
		out[row.ID] = judge.Accepted{Spec: row.Spec}
	}
	return out, nil
}

// systems also tells whose each system is.
func (w *world) systems(ctx context.Context) ([]policy.SystemPeople, error) {
	rows, err := w.db.Accepted.Query().Where(accepted.Kind(string(spec.KindSystem)), accepted.NameIn(w.each(system)...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the systems: %w", err)
	}
	if len(rows) < len(w.each(system)) {
		if err := w.systemNames(ctx); err != nil {
			return nil, err
		}
	}
	var people []policy.SystemPeople
	for _, row := range rows {
		decoded, err := spec.Decode(spec.KindSystem, row.Spec)
		if err != nil {
			return nil, fmt.Errorf("read system %s: %w", row.Name, err)
		}
		s := decoded.(*spec.System)
		w.out.Systems[row.Name] = true
		w.out.SystemKeys[row.Name], w.out.SystemLimits[row.Name] = s.SSHKeys, s.Limits
		people = append(people, policy.SystemPeople{
			System: row.Name, Owners: s.Owners, Creator: spec.Person{ID: row.CreatedBy, Login: row.CreatedByLogin},
		})
	}
	return people, nil
}

// maxNames bounds what is looked up only to help with a misspelt name.
const maxNames = 1000

// systemNames adds the other systems where one is unknown, so that the nearest can be named.
func (w *world) systemNames(ctx context.Context) error {
	names, err := w.db.Accepted.Query().Where(accepted.Kind(string(spec.KindSystem))).Limit(maxNames).Select(accepted.FieldName).Strings(ctx)
	if err != nil {
		return fmt.Errorf("read the systems' names: %w", err)
	}
	for _, name := range names {
		w.out.Systems[name] = true
	}
	return nil
}

func (w *world) services(ctx context.Context) error {
	rows, err := w.db.Accepted.Query().Where(accepted.Kind(string(spec.KindService)),
		accepted.Or(accepted.ServiceIn(w.each(service)...), accepted.SystemIn(w.each(system)...))).
		Select(accepted.FieldSystem, accepted.FieldService).All(ctx)
	if err != nil {
		return fmt.Errorf("read the services: %w", err)
	}
	for _, row := range rows {
		w.out.Services[row.Service] = row.System
	}
	return nil
}

// names finds who has the VM names, and the pairs of system and service that VM names are made of.
func (w *world) names(ctx context.Context) error {
	rows, err := w.db.Accepted.Query().Where(accepted.Kind(string(spec.KindVirtualMachine)), accepted.NameIn(w.each(vmName)...)).
		Select(accepted.FieldID, accepted.FieldName).All(ctx)
	if err != nil {
		return fmt.Errorf("read the VM names: %w", err)
	}
	for _, row := range rows {
		w.out.Names[row.Name] = row.ID
	}
	pairs := w.each(func(r spec.Ref) string {
		if r.Kind != spec.KindService {
			return ""
		}
		return r.System + "-" + r.Service
	})
	const query = `select id, system || '-' || service from accepted where kind = 'Service' and system || '-' || service = any($1)`
	return w.db.Rows(ctx, query, []any{pairs}, func(row pgx.Rows) error {
		var id, pair string
		if err := row.Scan(&id, &pair); err != nil {
			return fmt.Errorf("read the service pairs: %w", err)
		}
		w.out.Names[pair] = id
		return nil
	})
}

func (w *world) indexes(ctx context.Context) error {
	rows, err := w.db.InstanceIndex.Query().Where(instanceindex.ServiceIn(w.each(service)...)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the index ledger: %w", err)
	}
	for _, row := range rows {
		w.out.Indexes[row.Service] = append(w.out.Indexes[row.Service], row.Number)
	}
	return nil
}

func (w *world) claims(ctx context.Context) error {
	var keys []string
	for _, f := range w.files {
		ref, governed, problems := spec.ParsePath(f.Path)
		if !governed || problems.Blocking() {
			continue
		}
		var head []byte
		if f.Head != nil {
			head = f.Head.Data
		}
		keys = append(keys, judge.ClaimKeys(ref, head)...)
	}
	for _, p := range w.planned {
		keys = append(keys, judge.AddressKeys(p.ModifiedSpec)...)
	}
	rows, err := w.db.Claim.Query().Where(claim.IDIn(keys...), claim.PullRequestNEQ(w.number)).
		WithTicket(func(q *ent.TicketQuery) { q.WithEvent() }).All(ctx)
	if err != nil {
		return fmt.Errorf("read the claims: %w", err)
	}
	for _, row := range rows {
		w.out.Claims[row.ID] = approval.Held(row)
	}
	return nil
}

func (w *world) clusters(ctx context.Context) error {
	rows, err := w.db.Cluster.Query().All(ctx)
	if err != nil {
		return fmt.Errorf("read the clusters: %w", err)
	}
	for _, row := range rows {
		w.out.Clusters[row.ID] = judge.ClusterFacts{
			Healthy: row.Health == "healthy", Message: row.HealthMessage, StorageClasses: row.StorageClasses,
			KubeVirt: row.KubevirtVersion, Capabilities: row.Capabilities,
		}
	}
	return nil
}

func (w *world) homes(ctx context.Context) error {
	const query = `select distinct on (service, namespace) service, namespace, cluster from vms
where service = any($1) and namespace = any($2) and status <> 'DELETED' order by service, namespace, created_at desc`
	return w.db.Rows(ctx, query, []any{w.each(service), w.each(namespace)}, func(row pgx.Rows) error {
		var service, namespace, cluster string
		if err := row.Scan(&service, &namespace, &cluster); err != nil {
			return fmt.Errorf("read where the services live: %w", err)
		}
		w.out.Home[service+"/"+namespace] = cluster
		return nil
	})
}

func (w *world) chosen(ctx context.Context) error {
	if w.number == 0 {
		return nil
	}
	rows, err := w.db.Ticket.Query().Where(ticket.PullRequest(w.number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).
		Select(ticket.FieldPath, ticket.FieldSelectedCluster).All(ctx)
	if err != nil {
		return fmt.Errorf("read the chosen clusters: %w", err)
	}
	for _, row := range rows {
		w.out.Chosen[row.Path] = row.SelectedCluster
	}
	return nil
}

// content reads a side of a change from the mirror as the judge wants it: content, or the reason why it
// is none.
func content(ctx context.Context, m *gitops.Mirror, commit gitops.SHA, file string) (*judge.Content, error) {
	data, _, err := m.Read(ctx, commit, file, spec.MaxBytes)
	var link *gitops.LinkError
	problem := func(message, hint string) (*judge.Content, error) {
		return &judge.Content{Problem: &domain.Problem{
			Code: domain.PathInvalid, Severity: domain.Error, Path: file, Message: message, Hint: hint,
		}}, nil
	}
	switch {
	case err == nil:
		return &judge.Content{Data: data}, nil
	case errors.Is(err, gitops.ErrNotFound):
		return nil, nil
	case errors.Is(err, gitops.ErrTooLarge):
		c, _ := problem(fmt.Sprintf("the file is larger than %d KiB", spec.MaxBytes>>10), "a governed file is a short document: take out what does not belong there")
		c.Problem.Code = domain.YAMLInvalid
		return c, nil
	case errors.As(err, &link):
		return problem(fmt.Sprintf("%q %s", link.Path, link.Unwrap()), "put a regular file there")
	case errors.Is(err, gitops.ErrDirectory):
		return problem("there is a folder in the place of the file", "put a regular file there")
	}
	return nil, fmt.Errorf("read %s at %s: %w", file, commit.Short(), err)
}
