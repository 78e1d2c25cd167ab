package service

import (
	"errors"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
)

// sorted gives a cluster's error the form that jobs understand.
func sorted(err error) error {
	var p *provider.Error
	if !errors.As(err, &p) {
		return err
	}
	switch p.Class {
	case provider.Never:
		return jobs.Never(err)
	case provider.Later:
		return jobs.Later(max(p.RetryAfter, time.Second), err)
	}
	return err
}

// problemOf is what people are told of an error.
func problemOf(err error) domain.Problem {
	var p *provider.Error
	if errors.As(err, &p) {
		return p.Problem
	}
	var known domain.Problem
	if errors.As(err, &known) {
		return known
	}
	var unknown domain.UnknownEventError
	if errors.As(err, &unknown) {
		return domain.Problem{
			Code: domain.PlanInvalid, Severity: domain.Error, Message: fmt.Sprintf("this version of Shepherd cannot carry out %q", unknown.Type),
			Hint: "ask whoever runs Shepherd which version wrote it",
		}
	}
	return domain.Problem{
		Code: domain.ClusterRefused, Severity: domain.Error, Message: "it could not be carried out; the server's log has the details",
		Hint: "ask whoever runs Shepherd",
	}
}
