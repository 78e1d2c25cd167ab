package spec

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"kv-shepherd.io/shepherd/internal/domain"
)

// MaxConsoleDuration is the longest console grant.
const MaxConsoleDuration = 2 * time.Hour

// format is what a text field's format tag stands for: the check itself, whose problem's message
// completes a sentence that begins with the field and whose code, when empty, is YAML_INVALID; and a
// regular expression for the JSON Schemas, which accepts all that the check accepts and maybe more.
type format struct {
	check   func(string) *domain.Problem
	pattern string
}

var formats = map[string]format{
	"quantity":      {func(s string) *domain.Problem { _, p := Bytes(s); return p }, bytesForm.String()},
	"amount":        {checkAmount, "(" + bytesForm.String() + ")|(" + cpuForm.String() + ")"},
	"name":          {checkField(MaxName, false), `^[a-z]([-a-z0-9]{0,13}[a-z0-9])?$`},
	"platform-name": {checkField(MaxPlatformName, true), `^[a-z]([-.a-z0-9]{0,38}[a-z0-9])?$`},
	"dns-label":     {pattern(dnsLabel, 63, "the name of a Kubernetes object of this kind", "use a-z, 0-9 and -, at most 63 characters"), dnsLabel.String()},
	"dns-name":      {pattern(dnsName, 253, "the name of a Kubernetes object", "use a-z, 0-9, - and ., a letter or digit first and last"), dnsName.String()},
	"device-name":   {pattern(deviceName, 120, "the name of a device", "write vendor/device as the cluster lists it, for example nvidia.com/GA102GL_A10"), deviceName.String()},
	"user-name":     {pattern(userName, 32, "the name of a user of the image", "use a-z, 0-9, _ and -, first a letter or _"), userName.String()},
	"image":         {checkImage, imageRef.String()},
	"login":         {checkPersonLogin, `^[A-Za-z0-9][-_A-Za-z0-9]{0,38}(\[bot\])?$`},
	"date-time":     {checkTime, `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})$`},
	"duration":      {checkDuration, `^\+?([0-9.]+(ns|us|µs|μs|ms|s|m|h))+$`},
	"ip":            {checkIP, `^[0-9a-fA-F.:]+$`},
	"cidr":          {checkCIDR, `^[0-9a-fA-F.:]+/[0-9]{1,3}$`},
	"ssh-key":       {checkSSHKey, `^\s*(ssh|ecdsa|sk)-\S+\s+\S`},
}

var (
	dnsLabel   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	dnsName    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	deviceName = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$`)
	userName   = regexp.MustCompile(`^[a-z_][-a-z0-9_]*$`)
	imageRef   = regexp.MustCompile(`^([a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][-.A-Za-z0-9_]{0,127})?(@sha256:[a-f0-9]{64})?$`)
)

func pattern(re *regexp.Regexp, limit int, what, hint string) func(string) *domain.Problem {
	return func(s string) *domain.Problem {
		if len(s) <= limit && re.MatchString(s) {
			return nil
		}
		return &domain.Problem{Message: "is " + quote(s) + ", which is not " + what, Hint: hint}
	}
}

// checkField is checkName for a field that holds a name.
func checkField(limit int, dots bool) func(string) *domain.Problem {
	return func(s string) *domain.Problem {
		p := checkName("", s, limit, dots)
		if p != nil {
			p.Message = "is not usable: " + strings.Replace(p.Message, "  ", " ", 1)
		}
		return p
	}
}

func checkAmount(s string) *domain.Problem {
	if _, p := CPU(s); p == nil {
		return nil
	}
	_, p := Bytes(s)
	return p
}

func checkImage(s string) *domain.Problem {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return &domain.Problem{Message: "begins with " + quote(scheme+"://"), Hint: "leave that out: " + clip(rest, 60)}
	}
	if len(s) <= 255 && imageRef.MatchString(s) {
		return nil
	}
	return &domain.Problem{Message: "is " + quote(s) + ", which is not an image reference", Hint: "write registry/repository:tag, for example quay.io/containerdisks/ubuntu:24.04"}
}

func checkPersonLogin(s string) *domain.Problem {
	if validLogin(strings.TrimSuffix(s, "[bot]")) {
		return nil
	}
	return &domain.Problem{Code: domain.NameInvalid, Message: "is " + quote(s) + ", which is not a login of the forge", Hint: "write the login without @: letters, digits and single hyphens"}
}

func checkTime(s string) *domain.Problem {
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		return nil
	}
	return &domain.Problem{Message: "is " + quote(s) + ", which is not a moment in RFC 3339", Hint: "write date, T, time and zone, for example 2026-11-24T09:30:00Z"}
}

func checkDuration(s string) *domain.Problem {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return &domain.Problem{Message: "is " + quote(s) + ", which is not a duration", Hint: "write for example 45m or 1h30m"}
	case d < time.Minute || d > MaxConsoleDuration:
		return &domain.Problem{Message: fmt.Sprintf("is %s; it has to be from 1m to 2h", d), Hint: "ask again when the time is over"}
	}
	return nil
}

func checkIP(s string) *domain.Problem {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is4In6() {
		return &domain.Problem{Message: "is " + quote(s) + ", which is not an IP address", Hint: "write one address without a mask, for example 10.0.0.7"}
	}
	if ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return &domain.Problem{Message: "is " + ip.String() + ", which no VM can have", Hint: "choose an address of the network"}
	}
	return nil
}

func checkCIDR(s string) *domain.Problem {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return &domain.Problem{Message: "is " + quote(s) + ", which is not an address range", Hint: "write address/bits, for example 10.0.0.0/24"}
	}
	if prefix.Masked() != prefix {
		return &domain.Problem{Message: "is " + prefix.String() + ", which has bits set beyond the mask", Hint: "write " + prefix.Masked().String()}
	}
	return nil
}

func checkSSHKey(s string) *domain.Problem {
	const hint = "paste one line of a file that ends in .pub, such as ssh-ed25519 AAAA... you@host"
	if strings.Contains(s, "PRIVATE KEY") {
		return &domain.Problem{Code: domain.SecretSuspected, Message: "looks like a private key", Hint: "treat that key as lost, make a new pair, and " + hint}
	}
	if strings.ContainsAny(strings.TrimSpace(s), "\n\r") {
		return &domain.Problem{Message: "spans several lines", Hint: hint}
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(s))
	switch {
	case err != nil:
		return &domain.Problem{Message: "is not a public SSH key", Hint: hint}
	case len(options) > 0:
		return &domain.Problem{Message: "carries options before the key", Hint: "remove them: begin with the key's type, such as ssh-ed25519"}
	case key.Type() == "ssh-dss":
		return &domain.Problem{Message: "is a DSA key, which servers refuse", Hint: "make a new one: ssh-keygen -t ed25519"}
	case strings.Contains(key.Type(), "-cert-"):
		return &domain.Problem{Message: "is a certificate", Hint: hint}
	}
	return nil
}
