package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

func file(kind Kind, body string) []byte {
	return []byte("apiVersion: " + APIVersion + "\nkind: " + string(kind) + "\nspec: " + body + "\n")
}

func testPlatform(tb testing.TB) *Platform {
	tb.Helper()
	template := func(status string) []byte {
		return file(KindTemplate, "{status: "+status+", image: {containerDisk: {image: a}}}")
	}
	p, problems := LoadPlatform(map[string][]byte{
		"platform/clusters/prod-east.yaml":         file(KindCluster, "{environment: prod, status: active}"),
		"platform/clusters/prod-west.yaml":         file(KindCluster, "{environment: prod, status: active, weight: 7}"),
		"platform/namespaces/prod-shop.yaml":       file(KindNamespace, "{environment: prod, network: backend}"),
		"platform/namespaces/test-shop.yaml":       file(KindNamespace, "{environment: test, kubernetesName: shop-vms}"),
		"platform/networks/backend.yaml":           file(KindNetwork, "{environment: prod, attachment: {namespace: a, name: b}, addresses: 10.0.0.0/24}"),
		"platform/sizes/medium.yaml":               file(KindInstanceSize, "{cores: 2, memory: 4Gi}"),
		"platform/sizes/large.yaml":                file(KindInstanceSize, "{cores: 8, memory: 4Gi, disk: {default: 60Gi, max: 1Ti}}"),
		"platform/templates/ubuntu-24.04/v1.yaml":  template("deprecated"),
		"platform/templates/ubuntu-24.04/v2.yaml":  template("active"),
		"platform/templates/ubuntu-24.04/v10.yaml": template("draft"),
		"platform/templates/debian/v1.yaml":        template("deprecated"),
		"platform/templates/fedora/v1.yaml":        template("draft"),
		"platform/templates/centos/v1.yaml":        template("archived"),
		"platform/roles/admins.yaml":               file(KindRoleBinding, "{role: viewer, people: [{login: a, id: 1}]}"),
		"platform/policies/p.yaml":                 file(KindPolicy, "{}"),
		".github/workflows/ci.yaml":                []byte("on: push"),
	})
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	return p
}

func TestPlatformLookups(t *testing.T) {
	t.Parallel()
	p := testPlatform(t)
	_, namespace := p.Namespace("prod-shp")
	_, size := p.Size("medum")
	_, network := p.Network("x")
	_, cluster := p.Cluster("prod-eats")
	_, version := p.Template("ubuntu-24.04", 3)
	_, template := p.Template("ubuntu", 1)
	_, _, unknown := p.ActiveTemplate("ubunt-24.04")
	_, _, deprecated := p.ActiveTemplate("debian")
	_, _, draft := p.ActiveTemplate("fedora")
	_, _, archived := p.ActiveTemplate("centos")
	for _, tt := range []struct {
		problem *domain.Problem
		code    domain.Code
		hint    string
	}{
		{namespace, domain.NamespaceUnknown, `did you mean "prod-shop"? known are prod-shop, test-shop`},
		{size, domain.SizeUnknown, `did you mean "medium"? known are large, medium`},
		{network, domain.NetworkUnknown, "known are backend"},
		{cluster, domain.PlanInvalid, `did you mean "prod-east"? known are prod-east, prod-west`},
		{version, domain.TemplateUnknown, "known are 1, 2, 10"},
		{template, domain.TemplateUnknown, `did you mean "ubuntu-24.04"? known are centos, debian, fedora, ubuntu-24.04`},
		{unknown, domain.TemplateUnknown, `did you mean "ubuntu-24.04"? known are ubuntu-24.04`},
		{deprecated, domain.TemplateNotActive, "choose an active one: known are ubuntu-24.04"},
		{draft, domain.TemplateNotActive, "choose an active one: known are ubuntu-24.04"},
		{archived, domain.TemplateUnknown, "known are ubuntu-24.04"},
	} {
		if tt.problem == nil || tt.problem.Code != tt.code || tt.problem.Hint != tt.hint {
			t.Errorf("got %+v, want %s with %s", tt.problem, tt.code, tt.hint)
		}
	}
	if _, v, problem := p.ActiveTemplate("ubuntu-24.04"); v != 2 || problem != nil {
		t.Errorf("active is %d, %v", v, problem)
	}
	if old, problem := p.Template("ubuntu-24.04", 1); problem != nil || old.Status != TemplateDeprecated {
		t.Errorf("got %+v, %v", old, problem)
	}
	if doc, ok := p.Document("platform/sizes/medium.yaml"); !ok || doc.Ref.Name != "medium" {
		t.Errorf("got %+v, %v", doc, ok)
	}
	if _, ok := p.Document(".github/workflows/ci.yaml"); ok {
		t.Error("a workflow is no document")
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	p := testPlatform(t)
	var got []string
	for _, name := range []string{"medium", "large"} {
		def, least, most := p.Sizes[name].DiskRange()
		got = append(got, def.String(), least.String(), most.String())
	}
	got = append(got,
		fmt.Sprint(p.Clusters["prod-east"].EffectiveWeight(), p.Clusters["prod-west"].EffectiveWeight()),
		p.Namespaces["prod-shop"].ObjectName("prod-shop"), p.Namespaces["test-shop"].ObjectName("test-shop"),
		fmt.Sprint(p.Bindings["admins"].Environments(), (&RoleBinding{AllowedEnvironments: []domain.Environment{domain.Prod}}).Environments()),
		string((&VirtualMachine{}).EffectiveDeletionPolicy()), string((&VirtualMachine{DeletionPolicy: RetainDisks}).EffectiveDeletionPolicy()),
		(&ConsoleAccess{Duration: "90m"}).Grant().String(), (&ConsoleAccess{Duration: "x"}).Grant().String(),
	)
	want := []string{"100Gi", "50Gi", "500Gi", "60Gi", "50Gi", "1Ti", "100 7", "prod-shop", "shop-vms", "[test] [prod]", "delete", "retain", "1h30m0s", "0s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNetworkContains(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cidr, ip string
		want     bool
	}{
		{"10.0.0.0/24", "10.0.0.7", true}, {"10.0.0.0/24", "10.0.1.7", false}, {"10.0.0.0/24", "10.0.0.0", false},
		{"10.0.0.0/24", "10.0.0.255", false}, {"10.0.0.0/31", "10.0.0.1", true}, {"10.0.0.7/32", "10.0.0.7", true},
		{"2001:db8::/64", "2001:db8::1", true}, {"2001:db8::/64", "2001:db8::", false}, {"2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"", "10.0.0.7", false}, {"10.0.0.0/24", "x", false},
	} {
		if got := (&Network{Addresses: tt.cidr}).Contains(tt.ip); got != tt.want {
			t.Errorf("%s in %s: %v", tt.ip, tt.cidr, got)
		}
	}
}

func TestSchemaFor(t *testing.T) {
	t.Parallel()
	p := testPlatform(t)
	vm := compileSchema(t, SchemaFor(KindVirtualMachine, p))
	body := "{template: %s, size: %s, power: running, reason: r, networks: [{name: %s}]}"
	for _, tt := range []struct {
		template, size, network string
		ok                      bool
	}{
		{"ubuntu-24.04", "medium", "backend", true}, {"debian", "medium", "backend", false},
		{"ubuntu-24.04", "huge", "backend", false}, {"ubuntu-24.04", "medium", "storage", false},
	} {
		text := file(KindVirtualMachine, fmt.Sprintf(body, tt.template, tt.size, tt.network))
		if err := schemaVerdict(vm, text); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if !strings.Contains(string(SchemaFor(KindVirtualMachine, p)), "one of prod-shop, test-shop.") {
		t.Error("the namespaces are not named")
	}
	namespace := compileSchema(t, SchemaFor(KindNamespace, p))
	if schemaVerdict(namespace, file(KindNamespace, "{environment: prod, network: x}")) == nil {
		t.Error("the network x was accepted")
	}
	empty := compileSchema(t, SchemaFor(KindVirtualMachine, &Platform{}))
	if err := schemaVerdict(empty, file(KindVirtualMachine, fmt.Sprintf(body, "a", "b", "c"))); err != nil {
		t.Errorf("an empty platform closes its schema: %v", err)
	}
	if string(SchemaFor(KindService, p)) != string(Schema(KindService)) || SchemaFor(KindForge, p) != nil {
		t.Error("a kind without names of the platform differs")
	}
}

func BenchmarkParse(b *testing.B) {
	ref, data := mustRef(b, redis), []byte(redisFile)
	b.ReportAllocs()
	for b.Loop() {
		if doc, problems := Parse(ref, data); doc == nil {
			b.Fatal(problems)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	doc := mustParse(b, redis, redisFile)
	b.ReportAllocs()
	for b.Loop() {
		Canonical(doc)
	}
}

func BenchmarkLoadPlatform500(b *testing.B) {
	files := map[string][]byte{}
	for i := range 100 {
		files[fmt.Sprintf("platform/clusters/c%d.yaml", i)] = file(KindCluster, "{environment: prod, status: active}")
		files[fmt.Sprintf("platform/namespaces/n%d.yaml", i)] = file(KindNamespace, fmt.Sprintf("{environment: prod, network: net%d}", i))
		files[fmt.Sprintf("platform/networks/net%d.yaml", i)] = file(KindNetwork, "{environment: prod, pod: true}")
		files[fmt.Sprintf("platform/sizes/s%d.yaml", i)] = file(KindInstanceSize, "{cores: 2, memory: 4Gi, disk: {default: 100Gi}}")
		files[fmt.Sprintf("platform/templates/t%d/v1.yaml", i)] = file(KindTemplate, "{status: active, image: {containerDisk: {image: quay.io/a/b:1}}, cloudInit: \"#cloud-config\\nssh_pwauth: false\\n\"}")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := LoadPlatform(files); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
