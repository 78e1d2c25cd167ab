package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Limits bounds one pull request, and how fast one author may ask.
type Limits struct {
	// Creates, Deletes, Modifications and PowerOperations are how many of them one pull request may hold.
	Creates         int `json:"creates" env:"CREATES"`
	Deletes         int `json:"deletes" env:"DELETES"`
	Modifications   int `json:"modifications" env:"MODIFICATIONS"`
	PowerOperations int `json:"powerOperations" env:"POWER_OPERATIONS"`
	// PerHour is how many changes one author may submit in an hour; 0 is no limit.
	PerHour int `json:"perHour" env:"PER_HOUR"`
	// Rules set other limits for an environment, a role or both. The environment holds them as YAML.
	Rules LimitRules `json:"rules" env:"RULES"`
}

// LimitRules are read from a list, or from a text that holds one.
type LimitRules []LimitRule

// LimitRule sets limits where its environment and its role match; an empty one matches all. A limit that
// is left out is not set.
type LimitRule struct {
	Environment     domain.Environment `json:"environment,omitempty"`
	Role            string             `json:"role,omitempty"`
	Creates         *int               `json:"creates,omitempty"`
	Deletes         *int               `json:"deletes,omitempty"`
	Modifications   *int               `json:"modifications,omitempty"`
	PowerOperations *int               `json:"powerOperations,omitempty"`
	PerHour         *int               `json:"perHour,omitempty"`
}

// UnmarshalText reads a list in YAML.
func (r *LimitRules) UnmarshalText(text []byte) error {
	return yaml.UnmarshalStrict(text, (*[]LimitRule)(r))
}

// UnmarshalJSON reads a list.
func (r *LimitRules) UnmarshalJSON(data []byte) error {
	return yaml.UnmarshalStrict(data, (*[]LimitRule)(r))
}

var roles = []string{spec.RolePlatformAdmin, spec.RoleSystemAdmin, spec.RoleApprover, spec.RoleOperator, spec.RoleViewer}

// check says what is wrong, each with its key.
func (l Limits) check() (errs []error) {
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(l.Creates > 0, "limits.creates: set it to how many VMs one pull request may create")
	need(l.Deletes > 0, "limits.deletes: set it to how many VMs one pull request may delete")
	need(l.Modifications > 0, "limits.modifications: set it to how many VMs one pull request may modify")
	need(l.PowerOperations > 0, "limits.powerOperations: set it to how many VMs one pull request may start, stop or restart")
	need(l.PerHour >= 0, "limits.perHour: a number of changes cannot be negative; 0 is no limit")
	for i, r := range l.Rules {
		key := fmt.Sprintf("limits.rules[%d]", i)
		need(r.Environment == "" || r.Environment == domain.Test || r.Environment == domain.Prod,
			"%s.environment: %q is neither test nor prod", key, r.Environment)
		need(r.Role == "" || slices.Contains(roles, r.Role), "%s.role: %q is no role: %s", key, r.Role, strings.Join(roles, ", "))
		errs = append(errs, r.check(key)...)
	}
	return errs
}

func (r LimitRule) check(key string) (errs []error) {
	set := false
	for _, limit := range []struct {
		name  string
		value *int
	}{
		{"creates", r.Creates}, {"deletes", r.Deletes}, {"modifications", r.Modifications},
		{"powerOperations", r.PowerOperations}, {"perHour", r.PerHour},
	} {
		if limit.value == nil {
			continue
		}
		set = true
		switch {
		case *limit.value < 0:
			errs = append(errs, fmt.Errorf("%s.%s: it cannot be negative", key, limit.name))
		case *limit.value == 0 && limit.name != "perHour":
			errs = append(errs, fmt.Errorf("%s.%s: it is more than none; what nobody may do is for roles and rules to say", key, limit.name))
		}
	}
	if !set {
		errs = append(errs, errors.New(key+": set at least one of creates, deletes, modifications, powerOperations, perHour"))
	}
	return errs
}
