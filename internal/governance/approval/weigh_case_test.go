package approval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

// The sections of a case.
const (
	weighSection   = "case.yaml"
	outcomeSection = "outcome.txt"
	twinPrefix     = "twin/"
)

// offset is a moment, written as how long after (or, with a minus, before) the start of the clock it is.
type offset struct{ time.Duration }

func (o *offset) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		o.Duration, err = time.ParseDuration(text)
	}
	return err
}

func (o offset) moment() time.Time { return published.Add(o.Duration) }

// String leaves out the units that are zero: +1h, not +1h0m0s.
func (o offset) String() string {
	text := o.Duration.String()
	for _, zero := range []struct{ end, better string }{{"m0s", "m"}, {"h0m", "h"}} {
		if short, ok := strings.CutSuffix(text, zero.end); ok {
			text = short + zero.better
		}
	}
	if o.Duration >= 0 {
		text = "+" + text
	}
	return text
}

// scene is case.yaml: all that is known when the reviews are weighed. testdata/weigh/README.md describes it.
type scene struct {
	People       map[string]account `json:"people"`
	Required     int                `json:"required"`
	Plan         string             `json:"plan"`
	Plans        map[string]offset  `json:"plans"`
	Heads        []string           `json:"heads"`
	Contributors map[string]string  `json:"contributors"`
	Unattributed string             `json:"unattributed"`
	MayApprove   []string           `json:"mayApprove"`
	WhyNot       map[string]string  `json:"whyNot"`
	MayVeto      []string           `json:"mayVeto"`
	MayLift      []string           `json:"mayLift"`
	Epoch        *offset            `json:"epoch"`
	Grace        offset             `json:"grace"`
	Opened       offset             `json:"opened"`
	Reviews      []reviewKeys       `json:"reviews"`
}

type account struct {
	ID  int64 `json:"id"`
	Bot bool  `json:"bot"`
}

type reviewKeys struct {
	By          string  `json:"by"`
	Says        string  `json:"says"`
	At          *offset `json:"at"`
	Commit      string  `json:"commit"`
	Text        string  `json:"text"`
	CarriesPlan bool    `json:"carriesPlan"`
	WithdrawnBy string  `json:"withdrawnBy"`
}

// What a case says of a review, and the words for what is not known.
var says = map[string]State{"approve": StateApproved, "request-changes": StateChangesRequested, "comment": "commented"}

const (
	unknownCommit = "unknown"
	unknownPerson = "unknown"
)

func readScene(keys map[string]any) (s scene, err error) {
	data, err := json.Marshal(keys)
	if err != nil {
		return s, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, err
	}
	return s, s.complete()
}

// complete reports what a scene leaves open: a name that nobody has, a review without a moment, a refusal without a reason.
func (s scene) complete() (err error) {
	named := slices.Concat(s.MayApprove, s.MayVeto, s.MayLift, slices.Sorted(maps.Keys(s.Contributors)), slices.Sorted(maps.Keys(s.WhyNot)))
	for i, r := range s.Reviews {
		named = append(named, r.By)
		if r.WithdrawnBy != "" && r.WithdrawnBy != unknownPerson {
			named = append(named, r.WithdrawnBy)
		}
		if says[r.Says] == "" || r.At == nil || r.Commit == "" {
			err = errors.Join(err, fmt.Errorf("review %d: it needs by, says (approve, request-changes or comment), at and commit", i+1))
		}
		if !slices.Contains(s.MayApprove, r.By) && s.WhyNot[r.By] == "" {
			err = errors.Join(err, fmt.Errorf("review %d: %s is neither in mayApprove nor in whyNot", i+1, r.By))
		}
	}
	for _, login := range named {
		if _, ok := s.People[login]; !ok {
			err = errors.Join(err, fmt.Errorf("%q is not among the people", login))
		}
	}
	if s.Plan == "" {
		err = errors.Join(err, errors.New("it needs the plan in force"))
	}
	return err
}

func (s scene) reviewer(login string) Reviewer {
	return Reviewer{ID: s.People[login].ID, Login: login, Bot: s.People[login].Bot}
}

func planID(name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)) }

// facts is the scene as Weigh takes it. A plan that is not among the plans was never published.
func (s scene) facts() Case {
	c := Case{
		Required: s.Required, Plan: planID(s.Plan), Heads: s.Heads, Contributors: map[int64]string{}, Unattributed: s.Unattributed,
		MayApprove: func(r Reviewer) (bool, string) { return slices.Contains(s.MayApprove, r.Login), s.WhyNot[r.Login] },
		MayVeto:    func(r Review) bool { return slices.Contains(s.MayVeto, r.Reviewer.Login) },
		MayLift:    func(r Reviewer) bool { return slices.Contains(s.MayLift, r.Login) },
		Grace:      s.Grace.Duration, Opened: s.Opened.moment(),
	}
	if at, ok := s.Plans[s.Plan]; ok {
		c.PublishedAt = at.moment()
	}
	if s.Epoch != nil {
		c.Epoch = s.Epoch.moment()
	}
	for _, name := range slices.Sorted(maps.Keys(s.Plans)) {
		c.Plans = append(c.Plans, PublishedPlan{planID(name), s.Plans[name].moment()})
	}
	for login, how := range s.Contributors {
		c.Contributors[s.People[login].ID] = how
	}
	return c
}

func (s scene) reviews() (out []Review) {
	for i, r := range s.Reviews {
		review := Review{
			ID: int64(i + 1), Reviewer: s.reviewer(r.By), State: says[r.Says], SubmittedAt: r.At.moment(), CommitSHA: r.Commit,
			Text: r.Text, CarriesPlan: r.CarriesPlan, Withdrawn: r.WithdrawnBy != "",
		}
		if r.Commit == unknownCommit {
			review.CommitSHA = ""
		}
		if r.WithdrawnBy != "" && r.WithdrawnBy != unknownPerson {
			review.WithdrawnBy = s.reviewer(r.WithdrawnBy)
		}
		out = append(out, review)
	}
	return out
}

// told is an outcome as the files have it.
func told(s scene, o Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d of %d\n", o.Status, o.Approvals(), s.Required)
	who := func(r Review) string {
		return fmt.Sprintf("%s at %v", r.Reviewer.Login, offset{r.SubmittedAt.Sub(published)})
	}
	for _, v := range o.Votes {
		verdict := "counts"
		if !v.Counts {
			verdict = "does not count: " + v.Why
		}
		fmt.Fprintf(&b, "%s %s\n", who(v.Review), verdict)
	}
	if o.Veto != nil {
		fmt.Fprintf(&b, "veto by %s: %q\n", who(*o.Veto), o.Veto.Text)
	}
	return b.String()
}

// weighed is the file as it should be: as it is, with the outcomes of today. The error says what is wrong with the case
// itself, whatever its outcomes.
func weighed(start map[string]any, archive *txtar.Archive) (*txtar.Archive, error) {
	sentence, prose, _ := strings.Cut(string(archive.Comment), "\n\n")
	if !slices.Contains(designSentences, sentence) || strings.TrimSpace(prose) == "" {
		return nil, fmt.Errorf("it has to begin with a sentence of the design, an empty line and a line of prose; it begins with %q", sentence)
	}
	keys, err := sections(archive)
	if err != nil {
		return nil, err
	}
	own, counterpart := maps.Clone(start), maps.Clone(start)
	maps.Copy(own, keys[weighSection])
	maps.Copy(counterpart, own)
	maps.Copy(counterpart, keys[twinPrefix+weighSection])
	out := &txtar.Archive{Comment: archive.Comment}
	var statuses []string
	for _, half := range []struct {
		prefix string
		keys   map[string]any
	}{{"", own}, {twinPrefix, counterpart}} {
		s, err := readScene(half.keys)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", half.prefix, weighSection, err)
		}
		outcome := Weigh(s.facts(), s.reviews())
		statuses = append(statuses, string(outcome.Status))
		asked := archive.Files[slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == half.prefix+weighSection })]
		out.Files = append(out.Files, asked, txtar.File{Name: half.prefix + outcomeSection, Data: []byte(told(s, outcome))})
	}
	if err := onePoint(own, keys[twinPrefix+weighSection]); err != nil {
		return nil, err
	}
	if statuses[0] == statuses[1] {
		return nil, fmt.Errorf("it and its counterpart are both %s: the point decides nothing", statuses[0])
	}
	return out, nil
}

// sections are the keys of case.yaml and of twin/case.yaml.
func sections(archive *txtar.Archive) (map[string]map[string]any, error) {
	out := map[string]map[string]any{}
	for _, f := range archive.Files {
		switch f.Name {
		case outcomeSection, twinPrefix + outcomeSection:
			continue
		case weighSection, twinPrefix + weighSection:
		default:
			return nil, fmt.Errorf("%s: there is no such section", f.Name)
		}
		keys := map[string]any{}
		if err := yaml.UnmarshalStrict(f.Data, &keys); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out[f.Name] = keys
	}
	if len(out) != 2 {
		return nil, fmt.Errorf("it needs %s and %s", weighSection, twinPrefix+weighSection)
	}
	return out, nil
}

// onePoint refuses a counterpart that differs in more than one key, or in more than one key of one review. Both have
// been read as scenes before.
func onePoint(own, twin map[string]any) error {
	if len(twin) != 1 {
		return fmt.Errorf("the counterpart sets %d keys, want one", len(twin))
	}
	other, ok := twin["reviews"].([]any)
	if !ok {
		return nil
	}
	reviews, _ := own["reviews"].([]any)
	if len(reviews) != len(other) {
		return errors.New("the counterpart has another number of reviews: change one key of one review")
	}
	points := 0
	for i := range reviews {
		a, _ := reviews[i].(map[string]any)
		b, _ := other[i].(map[string]any)
		both := maps.Clone(a)
		maps.Copy(both, b)
		for key := range both {
			if a[key] != b[key] {
				points++
			}
		}
	}
	if points != 1 {
		return fmt.Errorf("the counterpart's reviews differ in %d keys, want one", points)
	}
	return nil
}
