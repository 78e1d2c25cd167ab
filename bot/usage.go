package bot

import (
	"context"
	"encoding/json"
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
// Accepted are the VMs that still are anywhere. Planned are those that other pull requests ask for and asked for
// first: who comes later is told that there is no room, and whoever was first is not. What needs no approval has
// claims and no ticket.
const takenQuery = `
with takes as (
  select v.namespace, v.system, v.accepted_plan as plan, convert_from(a.spec, 'UTF8')::jsonb->'disks' as disks
  from vms v left join accepted a on a.id = v.path
  where (v.namespace = any($1) or v.system = any($2)) and v.status <> 'DELETED'
  union all
  select t.namespace, t.system, t.plan_id, coalesce(t.modified_spec, e.payload::jsonb->'wanted')->'disks'
  from tickets t join events e on e.id = t.event_id
  where (t.namespace = any($1) or t.system = any($2)) and t.operation = 'CREATE_VM' and t.pull_request <> $3
    and t.status in ('PENDING_APPROVAL', 'APPROVED') and e.status = 'PENDING'
    and t.created_at < coalesce(least(
      (select min(own.created_at) from tickets own where own.pull_request = $3 and own.status in ('PENDING_APPROVAL', 'APPROVED')),
      (select min(c.created_at) from claims c where c.pull_request = $3)), 'infinity')
)
select t.namespace, t.system, coalesce((p.size_snapshot->>'cores')::int, 0), coalesce(p.size_snapshot->>'memory', ''),
  case when p.template_snapshot->'image'->'containerDisk'->>'ephemeral' = 'true' then '' else p.disk end,
  coalesce(t.disks::text, '[]'), count(*)
from takes t join plans p on p.id = t.plan group by 1, 2, 3, 4, 5, 6`

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
		var namespace, system, memory, root string
		var data []byte
		var cores, times int
		if err := row.Scan(&namespace, &system, &cores, &memory, &root, &data, &times); err != nil {
			return fmt.Errorf("read what the VMs take: %w", err)
		}
		var disks []spec.VMDisk
		if err := json.Unmarshal(data, &disks); err != nil {
			return fmt.Errorf("read the disks of VMs of %s in %s: %w", system, namespace, err)
		}
		sizes := []string{root}
		for _, d := range disks {
			sizes = append(sizes, d.Size)
		}
		judge.Count(w.out.Usage, namespace, system, judge.Amount(cores, memory, sizes...), times)
		return nil
	})
	maps.DeleteFunc(w.out.Usage, func(key string, _ policy.Amount) bool { // of these not all VMs were looked at
		kind, name, _ := strings.Cut(key, "/")
		return !slices.Contains(map[string][]string{"namespace": namespaces, "system": systems}[kind], name)
	})
	return err
}
