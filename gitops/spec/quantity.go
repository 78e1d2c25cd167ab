package spec

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/internal/domain"
)

var (
	bytesForm = regexp.MustCompile(`^[0-9]{1,13}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)$`)
	cpuForm   = regexp.MustCompile(`^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$`)
	looseForm = regexp.MustCompile(`(?i)^\s*([0-9]+)(?:\.[0-9]+)?\s*([kmgtp])?(i)?(b)?\s*$`)
	maxAmount = resource.MustParse("1Pi")
)

// Bytes reads a size of memory or disk: a positive number with a unit, at most 1Pi. Code and place of
// the problem are the caller's.
func Bytes(s string) (resource.Quantity, *domain.Problem) {
	if !bytesForm.MatchString(s) {
		return resource.Quantity{}, &domain.Problem{Message: "cannot be " + quote(s), Hint: bytesHint(s)}
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return resource.Quantity{}, &domain.Problem{Message: "cannot be " + quote(s), Hint: bytesHint(s)}
	}
	if q.Sign() <= 0 || q.Cmp(maxAmount) > 0 {
		return resource.Quantity{}, &domain.Problem{Message: fmt.Sprintf("is %s; it has to be more than 0 and at most 1Pi", s), Hint: "check the unit: Mi, Gi and Ti are the usual ones"}
	}
	return whole(s, q)
}

// whole keeps to multiples of 1Ki or 1k, so that every quantity has one shortest form with a unit.
func whole(s string, q resource.Quantity) (resource.Quantity, *domain.Problem) {
	bytes := q.Value()
	switch {
	case q.MilliValue()%1000 != 0:
	case bytes%1024 == 0:
		return *resource.NewQuantity(bytes, resource.BinarySI), nil
	case bytes%1000 == 0:
		return *resource.NewQuantity(bytes, resource.DecimalSI), nil
	}
	return resource.Quantity{}, &domain.Problem{Message: "is " + s + ", which is no whole number of the next smaller unit", Hint: "write it without a fraction, in a smaller unit such as Mi"}
}

// bytesHint writes what was probably meant.
func bytesHint(s string) string {
	m := looseForm.FindStringSubmatch(clip(s, 40))
	switch {
	case m == nil:
		return "write a number and a unit without a space, for example 120Gi"
	case m[2] == "":
		return "add the unit: " + m[1] + "Gi or " + m[1] + "Mi"
	}
	return "write " + m[1] + strings.ToUpper(m[2]) + "i: units are Ki, Mi, Gi, Ti, without a space and without B"
}

// CPU reads an amount of processor time: cores as 2 or 0.5, or thousandths as 500m.
func CPU(s string) (resource.Quantity, *domain.Problem) {
	if cpuForm.MatchString(s) {
		if q, err := resource.ParseQuantity(s); err == nil && q.Sign() > 0 {
			return q, nil
		}
	}
	return resource.Quantity{}, &domain.Problem{Message: "cannot be " + quote(s), Hint: `write cores as "2" or thousandths of one as 500m`}
}

// canonicalBytes and canonicalAmount write equal quantities equally; what is none stays as it is.
func canonicalBytes(s string) string {
	if q, p := Bytes(s); p == nil {
		return q.String()
	}
	return s
}

func canonicalAmount(s string) string {
	if q, p := CPU(s); p == nil {
		return q.String()
	}
	return canonicalBytes(s)
}
