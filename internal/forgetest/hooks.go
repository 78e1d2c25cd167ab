package forgetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) hookConfigView(h *hook) obj {
	v := obj{"content_type": "json", "insecure_ssl": "0"}
	if h.url != "" {
		v["url"] = h.url
	}
	if h.secret != "" {
		v["secret"] = "********"
	}
	return v
}

func (s *Server) hookView(h *hook) obj {
	u := s.apiURL("/repos/%s/hooks/%d", h.repo.fullName(), h.id)
	return obj{
		"type": "Repository", "id": h.id, "name": "web", "active": h.active, "events": h.events, "config": s.hookConfigView(h),
		"created_at": stamp(h.createdAt), "updated_at": stamp(h.createdAt), "url": u, "test_url": u + "/test", "ping_url": u + "/pings",
		"deliveries_url": u + "/deliveries", "last_response": obj{"code": nil, "status": "unused", "message": nil},
	}
}

func (s *Server) deliveryView(d *delivery) obj {
	v := obj{
		"id": d.id, "guid": d.guid, "delivered_at": stamp(d.deliveredAt), "redelivery": d.redelivery,
		"duration": d.duration.Seconds(), "status": d.status, "status_code": d.code, "event": d.event, "action": orNull(d.action),
		"installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if d.installID != 0 {
		v["installation_id"] = d.installID
	}
	if d.repoID != 0 {
		v["repository_id"] = d.repoID
	}
	return v
}

func (s *Server) fullDeliveryView(d *delivery) obj {
	v := s.deliveryView(d)
	v["url"] = d.url
	v["request"] = obj{"headers": flatHeaders(d.headers), "payload": json.RawMessage(d.body)}
	v["response"] = obj{"headers": flatHeaders(d.respHead), "payload": d.respBody}
	return v
}

func flatHeaders(h http.Header) obj {
	out := obj{}
	for k := range h {
		out[k] = h.Get(k)
	}
	return out
}

// theHook is the hook that a route speaks of: the App's own, or one of a repository.
func (c *call) theHook() (*hook, error) {
	if c.repo == nil {
		return c.actor.app.hook, nil
	}
	id, err := c.id("hook")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.repo.hooks, func(h *hook) bool { return h.id == id })
	if i < 0 {
		return nil, notFound()
	}
	return c.repo.hooks[i], nil
}

func listHooks(c *call) (reply, error) { return page(c, c.repo.hooks, c.s.hookView) }

func getHook(c *call) (reply, error) {
	h, err := c.theHook()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.hookView(h))
}

func getHookConfig(c *call) (reply, error) {
	h, err := c.theHook()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.hookConfigView(h))
}

func patchHookConfig(c *call) (reply, error) {
	h, err := c.theHook()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		URL    *string `json:"url"`
		Secret *string `json:"secret"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if in.URL != nil {
		h.url = *in.URL
	}
	if in.Secret != nil {
		h.secret = *in.Secret
	}
	return ok(c.s.hookConfigView(h))
}

// kept is how long GitHub remembers a delivery.
const kept = 3 * 24 * time.Hour

// cursorPrefix makes a cursor of an id. To clients it has no meaning.
const cursorPrefix = "v1_"

// listDeliveries goes from the newest back. The cursor tells the last delivery already seen.
func listDeliveries(c *call) (reply, error) {
	h, err := c.theHook()
	if err != nil {
		return reply{}, err
	}
	before := int64(1) << 62
	if cur := c.query("cursor"); cur != "" {
		id, ours := strings.CutPrefix(cur, cursorPrefix)
		if before, err = strconv.ParseInt(id, 10, 64); err != nil || !ours {
			return reply{}, refuse(http.StatusUnprocessableEntity, "Invalid cursor")
		}
	}
	size := c.pageSize()
	var out []*delivery
	link := ""
	for _, d := range slices.Backward(h.deliveries) {
		if d.id >= before || !d.done || c.s.forgotten(d) || !ofStatus(d, c.query("status")) {
			continue
		}
		if len(out) == size {
			link = c.pageLink("next", "cursor", cursorPrefix+itoa(out[size-1].id))
			break
		}
		out = append(out, d)
	}
	return reply{body: views(out, c.s.deliveryView), link: link}, nil
}

func (s *Server) forgotten(d *delivery) bool { return s.clock().Sub(d.deliveredAt) > kept }

func ofStatus(d *delivery, status string) bool {
	succeeded := d.code >= 200 && d.code < 400
	return status == "" || succeeded == (status == "success")
}

func (c *call) delivery() (*delivery, error) {
	h, err := c.theHook()
	if err != nil {
		return nil, err
	}
	id, err := c.id("delivery")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(h.deliveries, func(d *delivery) bool { return d.id == id })
	if i < 0 || c.s.forgotten(h.deliveries[i]) {
		return nil, notFound()
	}
	return h.deliveries[i], nil
}

func getDelivery(c *call) (reply, error) {
	d, err := c.delivery()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.fullDeliveryView(d))
}

func postRedelivery(c *call) (reply, error) {
	d, err := c.delivery()
	if err != nil {
		return reply{}, err
	}
	c.s.redeliver(d)
	return reply{status: http.StatusAccepted, body: obj{}}, nil
}

func pingHook(c *call) (reply, error) {
	h, err := c.theHook()
	if err != nil {
		return reply{}, err
	}
	c.s.ping(h, c.actor)
	return noContent()
}

// ping sends the event that says a hook was set up.
func (s *Server) ping(h *hook, who *actor) {
	payload := obj{"zen": "Design for failure.", "hook_id": h.id, "sender": s.userView(who.user)}
	var repoID int64
	if h.repo != nil {
		payload["repository"], payload["hook"] = s.repoView(h.repo), s.hookView(h)
		repoID = h.repo.id
	} else {
		payload["hook"] = obj{"type": "App", "id": h.id, "name": "web", "active": h.active, "events": h.events,
			"config": s.hookConfigView(h), "app_id": h.app.id, "deliveries_url": s.apiURL("/app/hook/deliveries"), "updated_at": stamp(h.createdAt), "created_at": stamp(h.createdAt)}
	}
	addProperties(payload)
	s.deliver(h, nil, repoID, "ping", "", payload)
}
