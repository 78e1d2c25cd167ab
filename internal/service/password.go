package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// saltLength is how much salt SHA-512 crypt takes.
const saltLength = 16

// completed gives the Secrets that are marked for it a password of their own, which is nowhere but there: not in
// the plan, the database, a log or what anybody is told.
//
// It is made once. Secrets that are there already are left alone by Apply; where only the password is there, as
// after a crash, the user data is made from it; where only the user data is there, somebody has removed the
// password, and it is not made anew: the guest has the old one.
func completed(ctx context.Context, cluster *provider.Cluster, t provider.Target, ms []render.Manifest) ([]render.Manifest, error) {
	at := func(what string) int {
		return slices.IndexFunc(ms, func(m render.Manifest) bool { return render.Generates(m) == what })
	}
	secret, data := at(render.GeneratePassword), at(render.GenerateUserData)
	if secret < 0 || data < 0 {
		return ms, nil
	}
	kept, has, err := cluster.Generated(ctx, t, provided(ms[secret : secret+1])[0])
	if err != nil {
		return nil, err
	}
	_, used, err := cluster.Generated(ctx, t, provided(ms[data : data+1])[0])
	if err != nil {
		return nil, err
	}
	password := rand.Text() // 26 characters
	there := len(kept[render.PasswordKey]) > 0
	switch {
	case there:
		password = string(kept[render.PasswordKey])
	case used:
		return slices.Delete(slices.Clone(ms), secret, secret+1), nil
	case has:
		return nil, jobs.Never(domain.Problem{
			Code: domain.ClusterRefused, Message: fmt.Sprintf("Secret %s/%s holds no password any more", ms[secret].Namespace, ms[secret].Name),
			Hint: "delete it, so that it is made anew, then retry",
		})
	}
	out, err := render.Generate(ms, password, rand.Text()[:saltLength])
	if err != nil {
		return nil, jobs.Never(err)
	}
	return out, nil
}
