package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The words for what a policy says on the whole: whether a change may be asked for. Approvals and
// confirmation come beside it.
const (
	SaysAllow = "allow"
	SaysWarn  = "warn"
	SaysDeny  = "deny"
)

// Expect is expect.yaml: what has to come of a case. A key that is left out is not looked at, but for
// Broken: a rule that cannot be evaluated is never meant, unless it is named.
type Expect struct {
	Verdict   string // allow, warn or deny
	Deny      *[]string
	Warn      *[]string
	Broken    []string
	Codes     *[]domain.Code
	Approvals *int
	From      *[]string
	Confirm   *Confirm
	// Changes are expectations of single paths, in a case made of files.
	Changes map[string]Expect
}

// Observed is what came of a case, in the words of expect.yaml. The lists are sorted and hold a name once.
type Observed struct {
	Verdict   string
	Deny      []string // names of what denies: a rule, or author, pusher, approval
	Warn      []string
	Broken    []string // rules that cannot be evaluated; they are among Deny or Warn too
	Codes     []domain.Code
	Approvals int
	From      []string // roles, and teams as organisation/team
	Confirm   Confirm
}

// Observe puts a verdict into the words of expect.yaml.
func Observe(v Verdict) Observed {
	o := Observed{Verdict: SaysAllow, Confirm: ConfirmNone}
	if r, ok := v.Requirement(); ok {
		o.Approvals, o.From, o.Confirm = r.Approvals, slices.Clone(r.From.Roles), cmp.Or(r.Confirm, ConfirmNone)
		for _, t := range r.From.Teams {
			o.From = append(o.From, teamName(t))
		}
	}
	o.collect(v)
	return o.tidy()
}

// collect adds the leaves of a tree: what stands above them only repeats the worst of them.
func (o *Observed) collect(v Verdict) {
	for _, c := range v.Children {
		o.collect(c)
	}
	if len(v.Children) > 0 {
		return
	}
	switch {
	case v.Denied():
		o.Deny = append(o.Deny, v.Rule)
	case v.Outcome == Warn:
		o.Warn = append(o.Warn, v.Rule)
	default:
		return
	}
	if v.Code != "" {
		o.Codes = append(o.Codes, v.Code)
	}
	if v.Broken {
		o.Broken = append(o.Broken, v.Rule)
	}
}

// Add takes problems that no rule of the policy has said, as those of validation: each counts under its
// code.
func (o Observed) Add(problems domain.Problems) Observed {
	o.Codes, o.Warn, o.Deny = slices.Clone(o.Codes), slices.Clone(o.Warn), slices.Clone(o.Deny)
	for _, p := range problems {
		o.Codes = append(o.Codes, p.Code)
		if p.Severity == domain.Warning {
			o.Warn = append(o.Warn, string(p.Code))
		} else {
			o.Deny = append(o.Deny, string(p.Code))
		}
	}
	return o.tidy()
}

// Join is what came of several changes together: everything that was said of any, and the most approvals.
func (o Observed) Join(p Observed) Observed {
	out := Observed{
		Deny: slices.Concat(o.Deny, p.Deny), Warn: slices.Concat(o.Warn, p.Warn), Broken: slices.Concat(o.Broken, p.Broken),
		Codes: slices.Concat(o.Codes, p.Codes), Approvals: max(o.Approvals, p.Approvals), From: slices.Concat(o.From, p.From),
		Confirm: o.Confirm,
	}
	order := []Confirm{"", ConfirmNone, ConfirmDigest, ConfirmName}
	if slices.Index(order, p.Confirm) > slices.Index(order, o.Confirm) {
		out.Confirm = p.Confirm
	}
	return out.tidy()
}

func (o Observed) tidy() Observed {
	for _, list := range []*[]string{&o.Deny, &o.Warn, &o.Broken, &o.From} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.Sort(o.Codes)
	o.Codes = slices.Compact(o.Codes)
	switch {
	case len(o.Deny) > 0:
		o.Verdict = SaysDeny
	case len(o.Warn) > 0:
		o.Verdict = SaysWarn
	default:
		o.Verdict = SaysAllow
	}
	o.Confirm = cmp.Or(o.Confirm, ConfirmNone)
	return o
}

// check says what can never come of a case, empty when nothing.
func (e Expect) check() string {
	switch {
	case !slices.Contains([]string{SaysAllow, SaysWarn, SaysDeny}, e.Verdict):
		return fmt.Sprintf("verdict is %q and has to be allow, warn or deny", e.Verdict)
	case e.Confirm != nil && !slices.Contains([]Confirm{ConfirmNone, ConfirmDigest, ConfirmName}, *e.Confirm):
		return fmt.Sprintf("confirm is %q and has to be none, digest or name", *e.Confirm)
	case e.Approvals != nil && *e.Approvals < 0:
		return "approvals cannot be negative"
	}
	for path, inner := range e.Changes {
		if len(inner.Changes) > 0 {
			return "changes cannot hold changes"
		}
		if problem := inner.check(); problem != "" {
			return path + ": " + problem
		}
	}
	return ""
}

// Compare says how what came of a case differs from what was expected, a line a difference.
func (e Expect) Compare(got Observed) (out []string) {
	differ := func(key string, want, got any) {
		out = append(out, fmt.Sprintf("%s: expected %v, got %v", key, want, got))
	}
	if e.Verdict != got.Verdict {
		differ("verdict", e.Verdict, got.Verdict)
	}
	for _, list := range []struct {
		key  string
		want *[]string
		got  []string
	}{{"deny", e.Deny, got.Deny}, {"warn", e.Warn, got.Warn}, {"broken", &e.Broken, got.Broken}, {"from", e.From, got.From}} {
		if list.want != nil && !sameNames(*list.want, list.got) {
			differ(list.key, bracket(*list.want), bracket(list.got))
		}
	}
	if e.Codes != nil && !sameNames(*e.Codes, got.Codes) {
		differ("codes", bracket(*e.Codes), bracket(got.Codes))
	}
	if e.Approvals != nil && *e.Approvals != got.Approvals {
		differ("approvals", *e.Approvals, got.Approvals)
	}
	if e.Confirm != nil && *e.Confirm != got.Confirm {
		differ("confirm", *e.Confirm, got.Confirm)
	}
	return out
}

func sameNames[T cmp.Ordered](a, b []T) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}

// bracket is a list as people write it in YAML.
func bracket[T ~string](names []T) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = oneLine(string(n))
	}
	return "[" + strings.Join(words, ", ") + "]"
}
