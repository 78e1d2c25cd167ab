// Package virttemplate stands in for that of kubevirt.io/virt-template-client-go, a module that
// KubeVirt compiles against and that the module proxy does not have. Nothing here calls it.
package virttemplate

import "k8s.io/client-go/rest"

type Clientset struct{ v1beta1 V1beta1 }

type V1beta1 struct{ client rest.Interface }

func NewForConfig(*rest.Config) (*Clientset, error) { return &Clientset{}, nil }

func (c *Clientset) TemplateV1beta1() *V1beta1 { return &c.v1beta1 }

func (v *V1beta1) RESTClient() rest.Interface { return v.client }
