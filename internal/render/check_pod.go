package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
)

// What a pod's resolver takes.
const (
	maxNameservers  = 3
	maxSearches     = 6
	maxSearchLength = 256
)

func (c *checker) dns() {
	config, field := c.instance.DNSConfig, specPath+"dnsConfig"
	if c.instance.DNSPolicy == corev1.DNSNone && (config == nil || len(config.Nameservers) == 0) {
		c.invalid(field+".nameservers", "dnsPolicy None needs a name server").hint("add one to dnsConfig.nameservers")
	}
	if config == nil {
		return
	}
	if len(config.Nameservers) > maxNameservers {
		c.invalid(field+".nameservers", "a pod has at most %d name servers, not %d", maxNameservers, len(config.Nameservers)).hint("remove some")
	}
	for i, server := range config.Nameservers {
		if !legalIP(server) {
			c.invalid(indexed(field+".nameservers", i), "%q is no IP address", server).hint("write the server's address")
		}
	}
	if len(config.Searches) > maxSearches || len(strings.Join(config.Searches, " ")) > maxSearchLength {
		c.invalid(field+".searches", "a pod searches at most %d domains of %d characters together", maxSearches, maxSearchLength).
			hint("remove some")
	}
	for i, search := range config.Searches {
		if problems := validation.IsDNS1123Subdomain(search); len(problems) > 0 {
			c.invalid(indexed(field+".searches", i), "%q is no domain: %s", search, problems[0])
		}
	}
	for i, option := range config.Options {
		if option.Name == "" {
			c.invalid(indexed(field+".options", i)+".name", "a resolver option has no name").hint("name it")
		}
	}
}

// affinity: terms that a scheduler can read.
func (c *checker) affinity() {
	a := c.instance.Affinity
	if a == nil {
		return
	}
	field := specPath + "affinity."
	if node := a.NodeAffinity; node != nil {
		c.nodeAffinity(field+"nodeAffinity.", node)
	}
	if pods := a.PodAffinity; pods != nil {
		c.podTerms(field+"podAffinity.", pods.RequiredDuringSchedulingIgnoredDuringExecution, pods.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if pods := a.PodAntiAffinity; pods != nil {
		c.podTerms(field+"podAntiAffinity.", pods.RequiredDuringSchedulingIgnoredDuringExecution, pods.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func (c *checker) nodeAffinity(field string, a *corev1.NodeAffinity) {
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		if len(r.NodeSelectorTerms) == 0 {
			c.invalid(field+required+".nodeSelectorTerms", "a required node affinity has no terms").hint("add one, or remove it")
		}
		for i, term := range r.NodeSelectorTerms {
			c.nodeTerm(indexed(field+required+".nodeSelectorTerms", i), term)
		}
	}
	for i, p := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		c.weight(indexed(field+preferred, i), p.Weight)
		c.nodeTerm(indexed(field+preferred, i)+".preference", p.Preference)
	}
}

func (c *checker) nodeTerm(field string, term corev1.NodeSelectorTerm) {
	operators := map[corev1.NodeSelectorOperator]selection.Operator{
		corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
		corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
		corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
	}
	for i, e := range term.MatchExpressions {
		if _, err := labels.NewRequirement(e.Key, operators[e.Operator], e.Values); err != nil {
			c.invalid(indexed(field+".matchExpressions", i), "the node expression cannot be read: %v", err).
				hint("use In or NotIn with values, Exists or DoesNotExist without, Gt or Lt with one number")
		}
	}
	for i, e := range term.MatchFields {
		one := len(e.Values) == 1 && (e.Operator == corev1.NodeSelectorOpIn || e.Operator == corev1.NodeSelectorOpNotIn)
		if e.Key != "metadata.name" || !one {
			c.invalid(indexed(field+".matchFields", i), "a node is matched by metadata.name, In or NotIn one value").hint("use matchExpressions")
		}
	}
}

func (c *checker) weight(field string, weight int32) {
	if weight < 1 || weight > 100 {
		c.invalid(field+".weight", "the weight is %d", weight).hint("use 1 to 100")
	}
}

func (c *checker) podTerms(field string, must []corev1.PodAffinityTerm, may []corev1.WeightedPodAffinityTerm) {
	for i, term := range must {
		c.podTerm(indexed(field+required, i), term)
	}
	for i, term := range may {
		c.weight(indexed(field+preferred, i), term.Weight)
		c.podTerm(indexed(field+preferred, i)+".podAffinityTerm", term.PodAffinityTerm)
	}
}

func (c *checker) podTerm(field string, term corev1.PodAffinityTerm) {
	c.topologyKey(field, term.TopologyKey)
	c.selector(field+".labelSelector", term.LabelSelector)
	c.selector(field+".namespaceSelector", term.NamespaceSelector)
	for i, namespace := range term.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			c.invalid(indexed(field+".namespaces", i), "%q is no namespace: %s", namespace, problems[0])
		}
	}
}

func (c *checker) topologyKey(field, key string) {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		c.invalid(field+".topologyKey", "%q is no label of nodes: %s", key, problems[0]).hint("use such as kubernetes.io/hostname")
	}
}

func (c *checker) selector(field string, s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		c.invalid(field, "the selector cannot be read: %v", err).hint("use In or NotIn with values, Exists or DoesNotExist without")
	}
}

// spread: how far, over which nodes, and what happens otherwise.
func (c *checker) spread() {
	for i, s := range c.instance.TopologySpreadConstraints {
		field := indexed(specPath+"topologySpreadConstraints", i)
		if s.MaxSkew < 1 {
			c.invalid(field+".maxSkew", "maxSkew is %d", s.MaxSkew).hint("use 1 or more")
		}
		c.topologyKey(field, s.TopologyKey)
		c.oneOf(field+".whenUnsatisfiable", string(s.WhenUnsatisfiable), "DoNotSchedule", "ScheduleAnyway")
		c.selector(field+".labelSelector", s.LabelSelector)
	}
}
