package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// takenQuery groups equal VMs, so that what it returns grows with how many kinds there are, not with the fleet.
// Accepted are the VMs that still are anywhere. Planned are those that other pull requests ask for, new or changed,
// and asked for first: who comes later is told that there is no room, and whoever was first is not. What needs no
// approval has claims and no ticket. A changed VM counts by what it takes more than now.
const takenQuery = `
with takes as (
  select v.namespace, v.system, v.accepted_plan as plan, convert_from(a.spec, 'UTF8')::jsonb->'disks' as disks,
    null::uuid as old_plan, null::jsonb as old_disks
  from vms v left join accepted a on a.id = v.path
  where (v.namespace = any($1) or v.system = any($2)) and v.status <> 'DELETED'
  union all
  select t.namespace, t.system, t.plan_id, coalesce(t.modified_spec, e.payload::jsonb->'wanted')->'disks',
    v.accepted_plan, convert_from(a.spec, 'UTF8')::jsonb->'disks'
  from tickets t join events e on e.id = t.event_id
    left join vms v on t.operation = 'MODIFY_VM' and v.path = t.path left join accepted a on a.id = v.path
  where (t.namespace = any($1) or t.system = any($2)) and t.pull_request <> $3
    and (t.operation = 'CREATE_VM' or t.operation = 'MODIFY_VM' and v.status <> 'DELETED')
    and t.status in ('PENDING_APPROVAL', 'APPROVED') and e.status = 'PENDING'
    and t.created_at < coalesce(least(
      (select min(own.created_at) from tickets own where own.pull_request = $3 and own.status in ('PENDING_APPROVAL', 'APPROVED')),
      (select min(c.created_at) from claims c where c.pull_request = $3)), 'infinity')
), parts as (
  select id, coalesce((size_snapshot->>'cores')::int, 0) as cores, coalesce(size_snapshot->>'memory', '') as memory,
    case when template_snapshot->'image'->'containerDisk'->>'ephemeral' = 'true' then '' else disk end as root
  from plans where id in (select plan from takes union select old_plan from takes)
)
select t.namespace, t.system, p.cores, p.memory, p.root, coalesce(t.disks::text, '[]'),
  o.cores is not null, coalesce(o.cores, 0), coalesce(o.memory, ''), coalesce(o.root, ''), coalesce(t.old_disks::text, '[]'), count(*)
from takes t join parts p on p.id = t.plan left join parts o on o.id = t.old_plan group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11`

// taker is what one VM is made of, as takenQuery gives it.
type taker struct {
	cores  int
	memory string
	root   string
	data   []byte
}

func (t taker) amount() (policy.Amount, error) {
	var disks []spec.VMDisk
	if err := json.Unmarshal(t.data, &disks); err != nil {
		return policy.Amount{}, err
	}
	sizes := []string{t.root}
	for _, d := range disks {
		sizes = append(sizes, d.Size)
	}
	return judge.Amount(t.cores, t.memory, sizes...), nil
}

// usage finds what the namespaces and systems of the VMs among the files take now.
func (w *world) usage(ctx context.Context) error {
	w.out.Usage = map[string]policy.Amount{}
	ofVMs := func(of func(spec.Ref) string) []string {
		return w.each(func(r spec.Ref) string {
			if r.Kind != spec.KindVirtualMachine {
				return ""
			}
			return of(r)
		})
	}
	namespaces, systems := ofVMs(namespace), ofVMs(system)
	if len(namespaces) == 0 {
		return nil
	}
	err := w.db.Rows(ctx, takenQuery, []any{namespaces, systems, w.number}, func(row pgx.Rows) error {
		var namespace, system string
		var is, was taker
		var changes bool
		var times int
		err := row.Scan(&namespace, &system, &is.cores, &is.memory, &is.root, &is.data,
			&changes, &was.cores, &was.memory, &was.root, &was.data, &times)
		if err != nil {
			return fmt.Errorf("read what the VMs take: %w", err)
		}
		amount, err := is.amount()
		before, wrong := was.amount()
		if err = errors.Join(err, wrong); err != nil {
			return fmt.Errorf("read the disks of VMs of %s in %s: %w", system, namespace, err)
		}
		if changes {
			amount = judge.Growth(before, amount)
		}
		judge.Count(w.out.Usage, namespace, system, amount, times)
		return nil
	})
	maps.DeleteFunc(w.out.Usage, func(key string, _ policy.Amount) bool { // of these not all VMs were looked at
		kind, name, _ := strings.Cut(key, "/")
		return !slices.Contains(map[string][]string{"namespace": namespaces, "system": systems}[kind], name)
	})
	return err
}
