package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// lookEvery is how often the demo looks for what happened meanwhile.
const lookEvery = time.Second

// stay keeps everything running until ctx ends. Whoever makes a pull request of their own is told what the
// bot does.
func (d *demo) stay(ctx context.Context) error {
	d.showAddresses()
	d.showCommands()
	told := map[int]string{}
	for _, p := range d.stage.Repo.Pulls() {
		told[p.Number()] = summary(p)
	}
	d.lines("", "", d.paint(bold, "Everything keeps running until Ctrl-C."), "")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.server.gone:
			d.help(step{})
			return errServerEnded
		case <-tick.C:
		}
		d.tellPulls(told)
	}
}

// tellPulls says which pull requests are not as they were told to be.
func (d *demo) tellPulls(told map[int]string) {
	for _, p := range d.stage.Repo.Pulls() {
		if now := summary(p); now != told[p.Number()] {
			told[p.Number()] = now
			d.news(fmt.Sprintf("pull request #%d %s", p.Number(), now))
		}
	}
}

// news is a line about something that just happened.
func (d *demo) news(line string) {
	d.lines("  ", d.paint(dim, time.Now().Format(time.TimeOnly))+"  "+printable(line))
}

// summary is what a page shows of a pull request at the first glance.
func summary(p *forgetest.Pull) string {
	state := p.State()
	if p.Merged() {
		state = "merged"
	}
	words := []string{"(" + state + ")"}
	for _, c := range p.Checks() {
		words = append(words, strings.TrimPrefix(c.Name, "shepherd/")+" "+cmp.Or(c.Conclusion, c.Status)+":", c.Title+".")
	}
	for _, c := range p.CommentsBy(botLogin) {
		if strings.HasPrefix(c.Body, comment.ClosingMarker) {
			words = append(words, "The bot wrote its closing remark.")
		}
	}
	return strings.Join(words, " ")
}

// showAddresses says where everything is.
func (d *demo) showAddresses() {
	d.heading("Look around", "")
	rows := [][]string{
		{"pull request", d.pull.URL()},
		{"spec repository", d.stage.Repo.CloneURL()},
		{"health", d.url("/health/ready")},
		{"metrics", d.url("/metrics")},
		{"database", d.address()},
		{"server's log", d.server.log},
	}
	for _, c := range d.clusters {
		rows = append(rows, []string{c.name, "kubectl --kubeconfig " + c.kubeconfig + " get vm -A"})
	}
	history := fmt.Sprintf("(. %s; %s history %s)", d.environFile(), d.options.shepherd, machines[1].name)
	rows = append(rows, []string{"why a VM exists", history})
	d.lines("  ", aligned(rows)...)
	d.lines("  ", "", "The file "+d.environFile()+" holds the server's configuration, the database's password among it.")
}

// showCommands are what to type for a pull request of one's own, from the push to the merge.
func (d *demo) showCommands() {
	d.heading("Make a pull request of your own", "To paste into another terminal, block by block. curl does what the buttons of GitHub's pages would do.")
	alice, repo := d.stage.Alice, d.stage.Repo
	work := filepath.Join(d.dir, "mine")
	pull := fmt.Sprintf("/pulls/%d", d.pull.Number()+1)
	d.block("1. alice asks for a third machine.",
		"git clone -q "+repo.CloneURLFor(alice)+" "+work,
		"cd "+work+" && git switch -q -c third",
		"mkdir -p systems/shop/redis/test-shop",
		"cat > systems/shop/redis/test-shop/03.yaml <<'END'",
		strings.TrimSuffix(string(stage.VM("medium", "a third machine")), "\n"),
		"END",
		"git add . && git -c user.name=Alice -c user.email="+alice.Email()+" commit -q -m 'shop: a third machine'",
		"git push -q origin third",
		d.curl(alice, "POST", "/pulls", `{"title":"A third machine","head":"third","base":"main"}`))
	d.block(fmt.Sprintf("2. bob reads the plan on %s/%s/pull/%d and approves it.", d.stage.Forge.URL(), repo.FullName(), d.pull.Number()+1),
		d.curl(d.stage.Bob, "POST", pull+"/reviews", `{"event":"APPROVE"}`))
	d.block("3. shepherd/approval is green: bob merges.",
		d.curl(d.stage.Bob, "PUT", pull+"/merge", `{"merge_method":"merge"}`))
}

func (d *demo) block(title string, commands ...string) {
	d.lines("", d.paint(dim, "# "+title))
	d.lines("", append(commands, "")...)
}

// curl is a request to the forge's interface as somebody.
func (d *demo) curl(who *forgetest.User, method, path, body string) string {
	return fmt.Sprintf("curl -fsS -o /dev/null -X %s -H 'Authorization: Bearer %s' -d '%s' %s/api/v3/repos/%s%s",
		method, who.Token(), body, d.stage.Forge.URL(), d.stage.Repo.FullName(), path)
}
