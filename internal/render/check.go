package render

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Allowance is what the platform lets a VM reach outside its own namespace and pod.
type Allowance struct {
	Networks    []string // attachment definitions, as namespace/name
	HostDevices []string // device names
	// PriorityClasses are those that the size names. The cluster's own (system-...) are never allowed.
	PriorityClasses []string
	// Images are the claims, snapshots and DataSources of other namespaces that disks may be cloned from, as
	// namespace/name: the template's image.
	Images []string
	// Registries are where container images of VMs may come from: registries, or paths in them, such as
	// quay.io/containerdisks; without any, all are allowed.
	Registries []string
	// KubeVirt is that of the cluster; the zero value is the newest that is known.
	KubeVirt KubeVirt
}

// Check finds what KubeVirt's webhooks would refuse, what they accept although it can never start,
// and what would break the isolation of namespaces or nodes. It looks at nothing but the object:
// whether a Secret, a claim or a GPU exists is the cluster's to say. Problems have OriginRendered
// and a path in the object. What depends on KubeVirt's release and feature gates is judged as far as
// the allowance knows them; the rest is left to the cluster's dry-run.
func Check(vm *kubevirtv1.VirtualMachine, allow Allowance) Problems {
	c := &checker{vm: vm, allow: allow}
	c.version()
	c.runStrategy()
	c.names()
	if vm.Spec.Template == nil {
		c.invalid("spec.template", "the VM has no template").hint("set spec.template")
		return c.problems
	}
	c.instance = &vm.Spec.Template.Spec
	for _, rule := range rules {
		rule(c)
	}
	return c.problems
}

// rules are the rules about the VM's template, one function each.
var rules = []func(*checker){
	(*checker).labels, (*checker).hostname, (*checker).enums,
	(*checker).fields, (*checker).volumes, (*checker).diskNames, (*checker).diskTargets, (*checker).diskBuses,
	(*checker).diskOptions, (*checker).blockSizes, (*checker).disksHaveVolumes, (*checker).bootOrder,
	(*checker).volumeSources, (*checker).dataVolumeTemplates,
	(*checker).cloudInit, (*checker).accessCredentials,
	(*checker).networkNames, (*checker).networkSources, (*checker).bindings, (*checker).interfaceFields,
	(*checker).interfaceOptions, (*checker).dns, (*checker).affinity, (*checker).spread,
	(*checker).firmware, (*checker).acpiTables, (*checker).kernelBoot, (*checker).launchSecurity, (*checker).hyperv,
	(*checker).machine, (*checker).arm64, (*checker).devices, (*checker).displays, (*checker).resourceClaims, (*checker).probes,
	(*checker).memory, (*checker).memoryGrowth, (*checker).hugepages, (*checker).cpu, (*checker).dedicatedCPU, (*checker).numa, (*checker).gpus,
	(*checker).instancetype,
	(*checker).isolatedMetadata, (*checker).isolatedVolumes, (*checker).isolatedImages, (*checker).isolatedClones,
	(*checker).isolatedNetworks,
	(*checker).isolatedDevices, (*checker).isolatedPlacement,
}

type checker struct {
	vm       *kubevirtv1.VirtualMachine
	instance *kubevirtv1.VirtualMachineInstanceSpec
	allow    Allowance
	problems Problems
}

const (
	specPath    = "spec.template.spec."
	domainPath  = specPath + "domain."
	devicesPath = domainPath + "devices."
)

// invalid is a mistake: KubeVirt would refuse the VM, or could not start it.
func (c *checker) invalid(field, format string, args ...any) *Problem {
	return c.problems.add(domain.PlanInvalid, OriginRendered, field, format, args...)
}

// denied is what KubeVirt may accept and Shepherd does not.
func (c *checker) denied(field, format string, args ...any) *Problem {
	return c.problems.add(domain.PolicyDenied, OriginRendered, field, format, args...)
}

var runStrategies = []kubevirtv1.VirtualMachineRunStrategy{
	kubevirtv1.RunStrategyAlways, kubevirtv1.RunStrategyHalted, kubevirtv1.RunStrategyManual,
	kubevirtv1.RunStrategyRerunOnFailure, kubevirtv1.RunStrategyOnce,
}

// runStrategy: the CRD has no enum for it, so that a typo passes the schema.
func (c *checker) runStrategy() {
	strategy := c.vm.Spec.RunStrategy
	switch {
	case c.vm.Spec.Running != nil && strategy != nil:
		c.invalid("spec.running", "running and runStrategy exclude each other").hint("remove running")
	case c.vm.Spec.Running != nil:
		c.denied("spec.running", "running is deprecated, and Shepherd switches VMs by runStrategy").hint("use runStrategy")
	case strategy == nil:
		c.invalid("spec.runStrategy", "the VM has no runStrategy").hint("use one of %s", join(runStrategies))
	case !slices.Contains(runStrategies, *strategy):
		c.invalid("spec.runStrategy", "runStrategy %q is none that KubeVirt has", *strategy).
			hint("use one of %s", join(runStrategies))
	}
}

func (c *checker) names() {
	if problems := validation.IsDNS1123Label(c.vm.Name); len(problems) > 0 {
		c.invalid("metadata.name", "the name %q is no DNS label: %s", c.vm.Name, problems[0]).hint("use up to 63 of a-z, 0-9 and - between them")
	}
	if problems := validation.IsDNS1123Label(c.vm.Namespace); len(problems) > 0 {
		c.invalid("metadata.namespace", "the namespace %q is no DNS label: %s", c.vm.Namespace, problems[0]).
			hint("use up to 63 of a-z, 0-9 and - between them")
	}
}

// reservedLabels are those that only KubeVirt's own components may write.
var reservedLabels = []string{
	kubevirtv1.CreatedByLabel, kubevirtv1.MigrationJobLabel, kubevirtv1.NodeNameLabel,
	kubevirtv1.MigrationTargetNodeNameLabel, kubevirtv1.NodeSchedulable, kubevirtv1.InstallStrategyLabel,
}

// usualLabels have KubeVirt's prefix and are everybody's: its own documentation selects VMs by them.
var usualLabels = []string{"kubevirt.io/vm", "kubevirt.io/domain", "kubevirt.io/size"}

// labels: the prefix kubevirt.io is KubeVirt's; some of its labels are refused, the others confuse it.
func (c *checker) labels() {
	for key, value := range sorted(c.vm.Spec.Template.ObjectMeta.Labels) {
		field := fmt.Sprintf("spec.template.metadata.labels[%q]", key)
		switch {
		case slices.Contains(reservedLabels, key):
			c.invalid(field, "the label %s is set by KubeVirt alone", key).hint("remove it")
		case strings.HasPrefix(key, "kubevirt.io/") && !slices.Contains(usualLabels, key):
			c.denied(field, "labels with the prefix kubevirt.io are KubeVirt's own").hint("use another prefix")
		}
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			c.invalid(field, "the label's name is illegal: %s", problems[0]).hint("use such as example.com/team")
		}
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
			c.invalid(field, "the label's value %q is illegal: %s", value, problems[0]).hint("use letters, digits, -, _ and .")
		}
	}
}

func (c *checker) hostname() {
	if name := c.instance.Hostname; name != "" {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			c.invalid(specPath+"hostname", "the host name %q is no DNS label: %s", name, problems[0]).hint("use a-z, 0-9 and - between them")
		}
	}
	if name := c.instance.Subdomain; name != "" {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			c.invalid(specPath+"subdomain", "the subdomain %q is illegal: %s", name, problems[0]).hint("use DNS labels with dots between them")
		}
	}
}

// enums checks the words of the instance that the schema leaves free.
func (c *checker) enums() {
	if s := c.instance.EvictionStrategy; s != nil {
		c.oneOf(specPath+"evictionStrategy", string(*s), "None", "LiveMigrate", "LiveMigrateIfPossible", "External")
	}
	if s := c.instance.StartStrategy; s != nil {
		c.oneOf(specPath+"startStrategy", string(*s), "Paused")
	}
	if p := c.instance.Domain.IOThreadsPolicy; p != nil {
		c.oneOf(domainPath+"ioThreadsPolicy", string(*p), "shared", "auto", "supplementalPool")
		threads := c.instance.Domain.IOThreads
		if *p == kubevirtv1.IOThreadsPolicySupplementalPool &&
			(threads == nil || threads.SupplementalPoolThreadCount == nil || *threads.SupplementalPoolThreadCount < 1) {
			c.invalid(domainPath+"ioThreads.supplementalPoolThreadCount", "a pool of I/O threads needs a number of threads").
				hint("set it to 1 or more")
		}
	}
	if p := string(c.instance.DNSPolicy); p != "" {
		c.oneOf(specPath+"dnsPolicy", p, "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
	}
}

func (c *checker) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.invalid(field, "%s %q is none that KubeVirt has", last(field), value).hint("use one of %s", join(allowed))
	}
}

func last(field string) string { return field[strings.LastIndexByte(field, '.')+1:] }

func join[S ~string](words []S) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
