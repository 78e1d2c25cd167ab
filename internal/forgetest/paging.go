package forgetest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// page cuts a list to the page that was asked for and shows each item.
func page[T any](c *call, items []T, view func(T) obj) (reply, error) {
	part, link := cut(c, items)
	return reply{body: views(part, view), link: link}, nil
}

// pageOf is page for endpoints that wrap their list in an object with a total count.
func pageOf[T any](c *call, key string, items []T, view func(T) obj) (reply, error) {
	part, link := cut(c, items)
	return reply{body: obj{"total_count": len(items), key: views(part, view)}, link: link}, nil
}

func cut[T any](c *call, items []T) (part []T, link string) {
	size, number := c.pageSize(), 1
	if n, err := strconv.Atoi(c.query("page")); err == nil && n > 0 {
		number = n
	}
	last := max(1, (len(items)+size-1)/size)
	from := min((number-1)*size, len(items))
	return items[from:min(from+size, len(items))], c.links(number, last)
}

func (c *call) pageSize() int {
	size := 30
	if n, err := strconv.Atoi(c.query("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	return size
}

// links writes the Link header: the neighbours and the ends of the list.
func (c *call) links(number, last int) string {
	var out []string
	add := func(rel string, page int) {
		out = append(out, c.pageLink(rel, "page", strconv.Itoa(page)))
	}
	if number > 1 {
		add("prev", min(number-1, last))
	}
	if number < last {
		add("next", number+1)
		add("last", last)
	}
	if number > 1 {
		add("first", 1)
	}
	return strings.Join(out, ", ")
}

func (c *call) pageLink(rel, param, value string) string {
	q := url.Values{}
	for k, v := range c.r.URL.Query() {
		q[k] = v
	}
	q.Set(param, value)
	path := c.r.URL.EscapedPath()
	if c.repo != nil {
		path = fmt.Sprintf("/repositories/%d%s", c.repo.id, c.beneathRepo()) // as GitHub writes them
	}
	return fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.s.apiURL(""), path, q.Encode(), rel)
}
