package github

import (
	"encoding/json"
	"slices"
)

// shapeOf names the event whose body has these keys, empty when it is none that matters.
func shapeOf(keys map[string]json.RawMessage) string {
	for _, s := range shapes {
		if s.fits(keys) {
			return s.event
		}
	}
	return ""
}

// shape is how the body of an event looks from outside: the keys that it has, those that it must lack to be kept apart
// from other events of GitHub's that share some, and, where it has none of its own, the only ones that it may have.
type shape struct {
	event            string
	has, lacks, only []string
}

var shapes = []shape{
	{event: "pull_request_review", has: []string{"action", "pull_request", "review"}, lacks: []string{"comment"}},
	{event: "pull_request", has: []string{"action", "pull_request", "number"}, lacks: []string{"review", "comment", "thread"}},
	{event: "issue_comment", has: []string{"action", "issue", "comment"}},
	{event: "push", has: []string{"ref", "before", "after", "pusher"}, lacks: []string{"action"}},
	{event: "check_run", has: []string{"action", "check_run"}, lacks: []string{"deployment", "workflow_job"}},
	{event: "check_suite", has: []string{"action", "check_suite"}, lacks: []string{"check_run", "workflow_run"}},
	{event: "merge_group", has: []string{"action", "merge_group"}},
	{event: "membership", has: []string{"action", "member", "scope", "team", "organization"}},
	{event: "member", has: []string{"action", "member", "repository"}, lacks: []string{"scope", "team"}},
	{event: "team", has: []string{"action", "team", "organization"}, lacks: []string{"member", "scope"}},
	{event: "organization", has: []string{"action", "organization", "sender"}, only: []string{
		"action", "organization", "sender", "membership", "invitation", "user", "changes", "installation", "enterprise",
	}},
}

func (s shape) fits(keys map[string]json.RawMessage) bool {
	for _, k := range s.has {
		if _, ok := keys[k]; !ok {
			return false
		}
	}
	for _, k := range s.lacks {
		if _, ok := keys[k]; ok {
			return false
		}
	}
	for k := range keys {
		if s.only != nil && !slices.Contains(s.only, k) {
			return false
		}
	}
	return true
}
