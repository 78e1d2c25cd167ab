package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/render"
)

// How an API server is asked for an object, and for the columns that kubectl prints.
const (
	asObject = "application/json"
	asTable  = "application/json;as=Table;v=v1;g=meta.k8s.io"
)

// vmPath is where a virtual machine is found.
const vmPath = "/apis/kubevirt.io/v1/namespaces/%s/virtualmachines/%s"

// get reads from a cluster's API with nothing but its kubeconfig: no code of the server takes part.
func (c cluster) get(ctx context.Context, path, accept string) ([]byte, error) {
	kubeconfig, err := os.ReadFile(c.kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(cfg.Host, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	answer, err := httpClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s on %s: %s", path, c.name, answer.Status)
	}
	return body, err
}

// seen reads both machines, and fails unless each is where and what it should be.
func (d *demo) seen(ctx context.Context) ([]string, error) {
	var notes []string
	for _, m := range machines {
		c := d.clusterOf(m.environment)
		vm, err := c.vm(ctx, m)
		if err != nil {
			return nil, err
		}
		if got := vm.GetLabels()[render.LabelEnvironment]; got != m.environment {
			return nil, fmt.Errorf("%s is labelled as of %q, not %s", m.name, got, m.environment)
		}
		status, _, _ := unstructured.NestedString(vm.Object, "status", "printableStatus")
		notes = append(notes, fmt.Sprintf("%s: %s/%s is %s, uid %s", c.name, m.namespace, m.name, status, vm.GetUID()))
	}
	return notes, nil
}

func (c cluster) vm(ctx context.Context, m machine) (*unstructured.Unstructured, error) {
	body, err := c.get(ctx, fmt.Sprintf(vmPath, m.namespace, m.name), asObject)
	if err != nil {
		return nil, err
	}
	vm := &unstructured.Unstructured{}
	if err := json.Unmarshal(body, vm); err != nil {
		return nil, fmt.Errorf("read %s: %w", m.name, err)
	}
	return vm, nil
}

// kubectl is what `kubectl get -L` prints of a path: the server's own columns and the environment.
func (c cluster) kubectl(ctx context.Context, path string) ([][]string, error) {
	body, err := c.get(ctx, path, asTable)
	if err != nil {
		return nil, err
	}
	var table metav1.Table
	if err := json.Unmarshal(body, &table); err != nil {
		return nil, fmt.Errorf("read the table of %s: %w", path, err)
	}
	rows := [][]string{nil}
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			rows[0] = append(rows[0], strings.ToUpper(column.Name))
		}
	}
	rows[0] = append(rows[0], "ENVIRONMENT")
	for _, row := range table.Rows {
		cells, err := tableRow(table.ColumnDefinitions, row)
		if err != nil {
			return nil, err
		}
		rows = append(rows, cells)
	}
	return rows, nil
}

// tableRow is a row with the environment that its object is labelled with.
func tableRow(columns []metav1.TableColumnDefinition, row metav1.TableRow) ([]string, error) {
	var cells []string
	for i, column := range columns {
		if column.Priority == 0 {
			cells = append(cells, cell(column, row.Cells[i]))
		}
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(row.Object.Raw, &object); err != nil {
		return nil, fmt.Errorf("read a row's object: %w", err)
	}
	return append(cells, object.Labels[render.LabelEnvironment]), nil
}

// cell is a value as kubectl prints it; a definition's dates come as times, not as ages.
func cell(column metav1.TableColumnDefinition, value any) string {
	at, err := time.Parse(time.RFC3339, fmt.Sprint(value))
	switch {
	case value == nil:
		return ""
	case column.Type == "date" && err == nil:
		return time.Since(at).Round(time.Second).String()
	}
	return printable(fmt.Sprint(value))
}

// head is a VM's YAML down to where its hardware begins: who it is, and why.
func head(vm *unstructured.Unstructured) ([]string, error) {
	out := map[string]any{"apiVersion": vm.GetAPIVersion(), "kind": vm.GetKind(), "metadata": map[string]any{
		"name": vm.GetName(), "namespace": vm.GetNamespace(), "uid": string(vm.GetUID()),
		"labels": vm.GetLabels(), "annotations": vm.GetAnnotations(),
	}}
	text, err := yaml.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write the YAML of %s: %w", vm.GetName(), err)
	}
	return strings.Split(strings.TrimSpace(printable(string(text))), "\n"), nil
}
