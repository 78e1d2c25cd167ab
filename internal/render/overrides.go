package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// protected are the parts of a VM that a size's overrides cannot reach: its identity, what the
// request and the template decide, and what the size has fields for, which quotas and policy read.
var protected = []struct{ path, instead string }{
	{"spec.runStrategy", "power is the request's"},
	{"spec.running", "power is the request's"},
	{"spec.instancetype", "the size is the instance type"},
	{"spec.preference", "set preference in the template"},
	{"spec.dataVolumeTemplates", "disks are the request's"},
	{"spec.template.metadata", "labels and annotations are the VM's identity"},
	{"spec.template.spec.hostname", "the name is the VM's identity"},
	{"spec.template.spec.volumes", "disks are the request's"},
	{"spec.template.spec.networks", "networks are the request's"},
	{"spec.template.spec.accessCredentials", "keys are the request's and the system's"},
	{"spec.template.spec.domain.firmware.uuid", "it follows from the VM's identity"},
	{"spec.template.spec.domain.firmware.serial", "it follows from the VM's identity"},
	{"spec.template.spec.domain.resources", "set cores, memory and overcommit"},
	{"spec.template.spec.domain.memory.guest", "set memory"},
	{"spec.template.spec.domain.memory.hugepages", "set hugepages"},
	{"spec.template.spec.domain.cpu.sockets", "set cores"},
	{"spec.template.spec.domain.cpu.cores", "set cores"},
	{"spec.template.spec.domain.cpu.threads", "set cores"},
	{"spec.template.spec.domain.cpu.dedicatedCpuPlacement", "set dedicatedCPU"},
	{"spec.template.spec.domain.devices.gpus", "set gpus"},
}

// override lays the size's specOverrides over the rendered VM. Each key is a path from the root of
// the VirtualMachine (spec.template.spec.domain.cpu.model, ...disks[0].cache,
// ...nodeSelector['gpu.example.com/present']), each value replaces what is there, null removes it.
// The result has to be a VirtualMachine as KubeVirt's types know it. It returns nil after an error.
func (r *renderer) override(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	paths := slices.Sorted(maps.Keys(r.in.Size.SpecOverrides)) // a parent sorts before its children
	if len(paths) == 0 {
		return vm
	}
	out, err := r.overlay(vm, paths)
	if err != nil {
		r.explainOverrides(vm, paths)
		return nil
	}
	if !r.checkProtected(vm, out) {
		return nil
	}
	return out
}

// overlay applies the overrides at paths, in this order.
func (r *renderer) overlay(vm *kubevirtv1.VirtualMachine, paths []string) (*kubevirtv1.VirtualMachine, error) {
	object, err := toMap(vm)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if err := setPath(object, path, r.in.Size.SpecOverrides[path]); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	out := new(kubevirtv1.VirtualMachine)
	return out, decodeStrict(data, out)
}

// explainOverrides names each override that cannot be added to those before it that can.
func (r *renderer) explainOverrides(vm *kubevirtv1.VirtualMachine, paths []string) {
	var good []string
	for _, path := range paths {
		if _, err := r.overlay(vm, append(slices.Clone(good), path)); err != nil {
			r.overrideProblem("specOverrides["+strconv.Quote(path)+"]", path, err)
			continue
		}
		good = append(good, path)
	}
}

func (r *renderer) overrideProblem(field, path string, err error) {
	var unknown unknownFieldError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &unknown):
		r.problems.add(domain.UnknownField, OriginSize, field, "KubeVirt's VirtualMachine has no field %s", string(unknown))
	case errors.As(err, &mismatch):
		r.problems.add(domain.PlanInvalid, OriginSize, field, "a %s does not fit at %s", mismatch.Value, path)
	default:
		r.problems.add(domain.PlanInvalid, OriginSize, field, "%s: %v", path, err)
	}
}

func (r *renderer) checkProtected(before, after *kubevirtv1.VirtualMachine) bool {
	was, err := toMap(before)
	is, err2 := toMap(after)
	if err != nil || err2 != nil {
		r.problems.add(domain.PlanInvalid, OriginSize, "specOverrides", "the result cannot be written as JSON")
		return false
	}
	ok := true
	for _, p := range protected {
		if !reflect.DeepEqual(getPath(was, p.path), getPath(is, p.path)) {
			if r.in.Size.Instancetype != nil && strings.HasPrefix(p.path, domainPath) {
				p.instead = "it belongs to the instance type"
			}
			r.problems.add(domain.ForbiddenField, OriginSize, "specOverrides", "specOverrides cannot change %s", p.path).
				hint("%s", p.instead)
			ok = false
		}
	}
	return ok
}

// step is one part of a path: a member of an object, or an element of a list.
type step struct {
	key   string
	index int // -1 for a member
}

// parsePath reads a path of members (.name or ['any.name'] or ["any.name"]) and elements ([0]).
func parsePath(path string) ([]step, error) {
	rest, ok := strings.CutPrefix(path, "spec")
	if !ok || rest == "" || rest[0] != '.' && rest[0] != '[' {
		return nil, fmt.Errorf("path %q has to begin with spec. and a field", path)
	}
	steps := []step{{"spec", -1}}
	for rest != "" {
		next, tail, err := parseStep(rest)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
		steps, rest = append(steps, next), tail
	}
	return steps, nil
}

func parseStep(text string) (step, string, error) {
	if text[0] == '.' {
		end := strings.IndexAny(text[1:], ".[]")
		if end < 0 {
			end = len(text) - 1
		}
		if end == 0 {
			return step{}, "", fmt.Errorf("a name is missing at %q", text)
		}
		return step{text[1 : end+1], -1}, text[end+1:], nil
	}
	if text[0] != '[' || len(text) < 3 {
		return step{}, "", fmt.Errorf("expected .name or [index] at %q", text)
	}
	if quote := text[1]; quote == '\'' || quote == '"' {
		name, tail, closed := strings.Cut(text[2:], string(quote)+"]")
		if !closed || name == "" {
			return step{}, "", fmt.Errorf("a quoted name is not closed at %q", text)
		}
		return step{name, -1}, tail, nil
	}
	number, tail, closed := strings.Cut(text[1:], "]")
	index, err := strconv.ParseUint(number, 10, 8)
	if !closed || err != nil {
		return step{}, "", fmt.Errorf("%q is no index of a list", number)
	}
	return step{index: int(index), key: number}, tail, nil
}

// setPath puts a copy of value at path, making objects on the way; an index may be the list's
// length, to append.
func setPath(object map[string]any, path string, value any) error {
	steps, err := parsePath(path)
	if err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("the value is no JSON: %w", err)
	}
	var own any
	if err := json.Unmarshal(data, &own); err != nil {
		return err
	}
	_, err = put(object, steps, own)
	return err
}

// put returns node with value at the end of steps.
func put(node any, steps []step, value any) (any, error) {
	if len(steps) == 0 {
		return value, nil
	}
	if steps[0].index >= 0 {
		return putElement(node, steps, value)
	}
	object, ok := node.(map[string]any)
	if node == nil {
		object, ok = map[string]any{}, true
	}
	if !ok {
		return nil, fmt.Errorf("%s is asked of something that is no object", steps[0].key)
	}
	child, err := put(object[steps[0].key], steps[1:], value)
	if err != nil {
		return nil, err
	}
	if child == nil {
		delete(object, steps[0].key)
	} else {
		object[steps[0].key] = child
	}
	return object, nil
}

func putElement(node any, steps []step, value any) (any, error) {
	list, ok := node.([]any)
	if !ok && node != nil {
		return nil, fmt.Errorf("[%s] is asked of something that is no list", steps[0].key)
	}
	index := steps[0].index
	if index > len(list) {
		return nil, fmt.Errorf("[%d] is behind the end of a list of %d", index, len(list))
	}
	if index == len(list) {
		list = append(list, nil)
	}
	child, err := put(list[index], steps[1:], value)
	if err != nil {
		return nil, err
	}
	if child == nil {
		return slices.Delete(list, index, index+1), nil
	}
	list[index] = child
	return list, nil
}

func getPath(object map[string]any, path string) any {
	var node any = object
	for _, key := range strings.Split(path, ".") {
		m, _ := node.(map[string]any)
		node = m[key]
	}
	return node
}
