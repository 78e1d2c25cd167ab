package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

// checked writes what a template says to a request.
func checked(t *Template, vm, old *VirtualMachine) string {
	var b strings.Builder
	for _, p := range t.Check("ubuntu v3", vm, old) {
		fmt.Fprintf(&b, "%s %s: %s | %s\n", p.Code, p.Field, p.Message, p.Hint)
	}
	return b.String()
}

func masked(field string, m FieldMask) *Template {
	return &Template{AdvancedFields: map[string]FieldMask{field: m}}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "c"}
	for _, tc := range []struct {
		name     string
		template *Template
		vm, old  VirtualMachine
		want     string
	}{
		{"no mask, nothing special", &Template{}, VirtualMachine{Disk: "10Gi", SSHKeys: keys, Size: "small", DeletionPolicy: RetainDisks}, VirtualMachine{}, ""},
		{"no mask, cpu", &Template{}, VirtualMachine{CPU: 4}, VirtualMachine{},
			"FORBIDDEN_FIELD cpu: template ubuntu v3 does not let requests set cpu | remove it, or ask a platform administrator for a version of the template with cpu: {editable: true} among its fields\n"},
		{"no mask, as it was", &Template{}, VirtualMachine{CPU: 4}, VirtualMachine{CPU: 4}, ""},
		{"forbidden disk", masked("disk", FieldMask{}), VirtualMachine{Disk: "10Gi"}, VirtualMachine{},
			"FORBIDDEN_FIELD disk: template ubuntu v3 does not let requests set disk | remove it, or ask a platform administrator for a version of the template with disk: {editable: true} among its fields\n"},
		{"forbidden list", masked("disks", FieldMask{}), VirtualMachine{Disks: []VMDisk{{Name: "a", Size: "2Gi"}}}, VirtualMachine{Disks: []VMDisk{{Name: "a", Size: "1Gi"}}},
			"FORBIDDEN_FIELD disks: template ubuntu v3 does not let requests set disks | remove it, or ask a platform administrator for a version of the template with disks: {editable: true} among its fields\n"},
		{"required", masked("memory", FieldMask{Editable: true, Required: true, Min: "2Gi"}), VirtualMachine{}, VirtualMachine{Memory: "4Gi"},
			"REQUIRED_FIELD_REMOVED : spec lacks the field memory, which template ubuntu v3 asks for | add memory 2Gi or more\n"},
		{"min in another unit", masked("memory", FieldMask{Editable: true, Min: "1024Mi", Max: "2Gi"}), VirtualMachine{Memory: "1Gi"}, VirtualMachine{}, ""},
		{"below", masked("memory", FieldMask{Editable: true, Min: "2048Mi", Max: "4Gi"}), VirtualMachine{Memory: "1Gi"}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE memory: memory is 1Gi, which is less than 2048Mi, what template ubuntu v3 allows | write 2048Mi to 4Gi\n"},
		{"numbers are no words", masked("cpu", FieldMask{Editable: true, Max: "16"}), VirtualMachine{CPU: 9}, VirtualMachine{}, ""},
		{"above", masked("disk", FieldMask{Editable: true, Max: "1Ti"}), VirtualMachine{Disk: "1025Gi"}, VirtualMachine{},
			"DISK_OUT_OF_RANGE disk: disk is 1025Gi, which is more than 1Ti, what template ubuntu v3 allows | write 1Ti or less\n"},
		{"option in another unit", masked("disk", FieldMask{Editable: true, Options: []string{"1Ti"}}), VirtualMachine{Disk: "1024Gi"}, VirtualMachine{}, ""},
		{"no option", masked("gpu", FieldMask{Editable: true, Options: []string{"a/b", "c/d"}}), VirtualMachine{GPU: "e/f"}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE gpu: gpu cannot be \"e/f\" with template ubuntu v3 | write one of a/b, c/d\n"},
		{"size", masked("size", FieldMask{Editable: true, Options: []string{"small"}}), VirtualMachine{Size: "large"}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE size: size cannot be \"large\" with template ubuntu v3 | write one of small\n"},
		{"too many", masked("sshKeys", FieldMask{Editable: true, Max: "2"}), VirtualMachine{SSHKeys: keys}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE sshKeys: the number of sshKeys, 3, is more than 2, which template ubuntu v3 allows | the template allows 2 or less\n"},
		{"a network", masked("networks", FieldMask{Editable: true, Options: []string{"lab"}}), VirtualMachine{Networks: []VMNetwork{{Name: "lab"}, {Name: "web"}}}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE networks[1].name: networks cannot be \"web\" with template ubuntu v3 | write one of lab\n"},
		{"a mask that cannot be read", masked("cpu", FieldMask{Editable: true, Max: "many"}), VirtualMachine{CPU: 1}, VirtualMachine{},
			"FIELD_OUT_OF_RANGE cpu: cpu is 1, which is more than many, what template ubuntu v3 allows | write many or less\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, checked(tc.template, &tc.vm, &tc.old)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestGiven(t *testing.T) {
	t.Parallel()
	size := InstanceSize{Cores: 2, Memory: "4Gi", GPUs: []GPU{{Name: "a", DeviceName: "x/y"}}, Disk: DiskRange{Max: "1Ti"}}
	template := &Template{
		QuickFields:    map[string]FieldMask{"cpu": {Default: "4"}, "memory": {Default: "8Gi", Editable: true}},
		AdvancedFields: map[string]FieldMask{"gpu": {Default: "c/d"}, "disk": {Default: "60Gi"}},
	}
	named := &Hardware{2, "4Gi", size.GPUs}
	for _, tc := range []struct {
		name     string
		vm       VirtualMachine
		template *Template
		disk     string
		want     InstanceSize
	}{
		{"nothing", VirtualMachine{}, nil, "", size},
		{"all by the request", VirtualMachine{CPU: 8, Memory: "16Gi", GPU: "e/f", Disk: "70Gi"}, template, "70Gi",
			InstanceSize{Cores: 8, Memory: "16Gi", GPUs: []GPU{{ownGPU, "e/f"}}, Disk: size.Disk, Named: named}},
		{"all by the template", VirtualMachine{}, template, "60Gi",
			InstanceSize{Cores: 4, Memory: "8Gi", GPUs: []GPU{{ownGPU, "c/d"}}, Disk: size.Disk, Named: named}},
		{"one", VirtualMachine{Memory: "1Gi"}, nil, "", InstanceSize{Cores: 2, Memory: "1Gi", GPUs: size.GPUs, Disk: size.Disk, Named: named}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			vm, got := Given(tc.vm, tc.template, &size)
			if diff := cmp.Diff(tc.want, got); diff != "" || vm.Disk != tc.disk {
				t.Errorf("disk %s (-want +got):\n%s", vm.Disk, diff)
			}
			// Given again, as a VM that was given it is changed.
			if _, again := Given(tc.vm, tc.template, &got); cmp.Diff(got, again) != "" {
				t.Errorf("again: %+v", again)
			}
			if _, without := Given(VirtualMachine{}, nil, &got); cmp.Diff(size, without) != "" {
				t.Errorf("taken back: %+v", without)
			}
		})
	}
}

// What a document lets stand as a mask agrees with what is let through by it.
func FuzzMask(f *testing.F) {
	f.Add("cpu", "4", "2", "16", "8", true)
	f.Add("memory", "8Gi", "1024Mi", "", "8192Mi", true)
	f.Add("disk", "", "", "1Ti", "", false)
	f.Add("gpu", "x/y", "", "", "x/y", true)
	f.Add("networks", "", "1", "2", "lab", true)
	f.Add("size", "", "", "", "small", true)
	f.Fuzz(func(t *testing.T, field, value, least, most, option string, editable bool) {
		mask := FieldMask{Editable: editable, Default: value, Min: least, Max: most}
		if option != "" {
			mask.Options = []string{option}
		}
		template := masked(field, mask)
		v := &validator{doc: &Document{}}
		v.masks(template)
		told(t, v.problems)
		vm, size := Given(VirtualMachine{Size: option}, template, &InstanceSize{Cores: 1, Memory: "1Gi"})
		if v.problems.Blocking() {
			return
		}
		if own := size.Own(); own.Cores != 1 || own.Memory != "1Gi" || own.GPUs != nil {
			t.Fatalf("%+v lost its own hardware", size)
		}
		for _, p := range template.Check("t", &vm, nil) {
			told(t, domain.Problems{p.Problem})
			if p.Code != domain.ForbiddenField || p.Field == field && editable {
				t.Fatalf("the mask %+v of %s lets not even its own default and option through: %+v", mask, field, p)
			}
		}
	})
}
