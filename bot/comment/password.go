package comment

import (
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// passwordUser is who gets a password with the VM that is made; empty where nobody does.
func (r Row) passwordUser() string {
	p := r.Change.Plan
	if r.Change.Operation != domain.CreateVM || p == nil || p.TemplateSnapshot == nil || p.TemplateSnapshot.InitialPassword == nil {
		return ""
	}
	return code(p.TemplateSnapshot.InitialPassword.User)
}

// initialPassword is where the first password of a VM that was made is found. What it is nobody here knows.
func (r Row) initialPassword() string {
	user := r.passwordUser()
	if user == "" {
		return ""
	}
	read := "kubectl -n " + r.VM.Namespace + " get secret " + render.InitialPasswordSecretName(r.VM.Name) + " -o jsonpath='{.data.password}' | base64 -d"
	return "Log in as " + user + " on the console, " + Escape("virtctl -n "+r.VM.Namespace+" console "+r.VM.Name, 300) +
		", with the password that " + Escape(read, 300) + " shows; it has to be changed at the first login."
}
