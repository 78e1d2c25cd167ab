package render

// difference explains why Check and KubeVirt disagree.
type difference struct{ class, why string }

// differences are by mutation, or by base/mutation where only one base is concerned.
var differences = map[string]difference{
	"running instead":                    {byPolicy, "running is deprecated, and power would have two homes"},
	"other kubevirt label":               {byPolicy, "the prefix is KubeVirt's, which reads some of its labels without refusing them"},
	"pod networks annotation":            {byPolicy, "it attaches the pod to any network, past spec.networks"},
	"service account":                    {byPolicy, "the guest would get the rights of an account of the namespace"},
	"service account volume":             {byPolicy, "the guest would get the token of an account of the namespace"},
	"clone from elsewhere":               {byPolicy, "it reads another namespace's disk; CDI asks for the rights of whoever applies, which is Shepherd"},
	"clone of a snapshot from elsewhere": {byPolicy, "it reads another namespace's disk"},
	"attachment from elsewhere":          {byPolicy, "it is no Network of the platform"},
	"probe elsewhere":                    {byPolicy, "the node would call any address in the VM's name"},
	"control plane by selector":          {byPolicy, "VMs stay off the control plane"},
	"control plane by toleration":        {byPolicy, "VMs stay off the control plane"},
	"every taint":                        {byPolicy, "it includes the control plane's"},
	"priority":                           {byPolicy, "it evicts others; only a size may name it"},
	"system priority":                    {byPolicy, "it evicts the cluster's own parts"},
	"negative memory":                    {wontRun, "KubeVirt looks at requests and limits only; the domain cannot be defined"},
	"zero memory":                        {wontRun, "KubeVirt takes a guest without memory, and the domain cannot be defined"},
	"tiny guest":                         {wontRun, "nothing boots in less than a megabyte"},
	"limit below guest":                  {wontRun, "the pod is killed as soon as the guest uses its memory"},
	"guest is no whole page":             {wontRun, "the request is in whole pages and the guest is not: QEMU cannot back it"},
	"many CPUs":                          {wontRun, "no machine type has more than 512"},
	"overflowing CPUs":                   {wontRun, "the product overflows in KubeVirt, and no machine type has more than 512"},
	"nameless GPU":                       {wontRun, "the name becomes the device's alias, which libvirt wants"},
	"GPU twice":                          {wontRun, "the name becomes the device's alias, which libvirt wants once"},
	"SR-IOV on the pod network":          {wontRun, "the pod network's interface is no virtual function"},
	"long secret name":                   {wontRun, "the volume's name for it is too long for a pod"},
	"bad label":                          {wontRun, "the pod, which carries the label, is refused"},
	"misspelt field":                     {byHand, "the API server drops it without strict validation, and refuses it in an apply"},
	"field in another case":              {byHand, "the API server drops it without strict validation, and refuses it in an apply"},
	"unknown machine type":               {laxer, "a cluster's configuration may offer more machine types; it is a warning"},
	"reservation":                        {laxer, "since 1.9 the configuration may switch it on without the gate"},
}
