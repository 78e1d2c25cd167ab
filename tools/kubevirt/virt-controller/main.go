// Command virt-controller is KubeVirt's controller as it is, flags included. It ends when its
// standard input does, so that it does not outlive whoever started it.
package main

import (
	"io"
	"os"

	"kubevirt.io/kubevirt/pkg/virt-controller/watch"
)

func main() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // an error ends the input as well
		os.Exit(0)
	}()
	watch.Execute()
}
