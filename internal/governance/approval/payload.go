package approval

import (
	"encoding/json"
	"fmt"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Payload is what a domain event says was asked for. It is written once and never changes.
type Payload struct {
	Operation   domain.Operation   `json:"operation"`
	Ref         spec.Ref           `json:"ref"`
	Environment domain.Environment `json:"environment,omitempty"`
	Accepted    json.RawMessage    `json:"accepted,omitempty"`
	Wanted      json.RawMessage    `json:"wanted,omitempty"`
	Digest      string             `json:"digest"`
}

// ParsePayload reads an event's payload.
func ParsePayload(data []byte) (Payload, error) {
	var p Payload
	if err := json.Unmarshal(data, &p); err != nil {
		return Payload{}, fmt.Errorf("read an event's payload: %w", err)
	}
	return p, nil
}

func eventStatus(s domain.EventStatus) event.Status { return event.Status(s) }
