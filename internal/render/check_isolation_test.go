package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

func nodeTerm(operator corev1.NodeSelectorOperator) corev1.NodeSelectorTerm {
	expression := corev1.NodeSelectorRequirement{Key: "node-role.kubernetes.io/control-plane", Operator: operator}
	if operator == corev1.NodeSelectorOpIn {
		expression.Values = []string{""}
	}
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression}}
}

// diskTemplate makes the root disk from a disk template that is well formed but for what it is filled from.
func diskTemplate(vm *machine, filled cdiv1.DataVolumeSpec) {
	filled.Storage = &cdiv1.StorageSpec{}
	vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}, Spec: filled}}
	vm.Spec.Template.Spec.Volumes[0].DataVolume.Name = "stolen"
}

func nodeAffinity(i *instance, operator corev1.NodeSelectorOperator) {
	i.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{nodeTerm(operator)}}}}
}

func annotate(vm *machine, key string) {
	vm.Spec.Template.ObjectMeta.Annotations = map[string]string{key: "x"}
}

var isolationCases = []checkCase{
	{"hook sidecar", func(vm *machine, _ *instance) { annotate(vm, "hooks.kubevirt.io/hookSidecars") },
		"spec.template.metadata.annotations", denied},
	{"ignition", func(vm *machine, _ *instance) { annotate(vm, "kubevirt.io/ignitiondata") },
		"spec.template.metadata.annotations", denied},
	{"multus annotation", func(vm *machine, _ *instance) { annotate(vm, "k8s.v1.cni.cncf.io/networks") },
		"spec.template.metadata.annotations", denied},
	{"harmless annotation", func(vm *machine, _ *instance) { annotate(vm, "example.com/note") }, "", ""},
	{"host disk", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{HostDisk: &kubevirtv1.HostDisk{Path: "/etc/shadow", Type: "Disk"}}
	}, inSpec + "volumes[0].hostDisk", denied},
	{"service account volume", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ServiceAccount: &kubevirtv1.ServiceAccountVolumeSource{ServiceAccountName: "admin"}}
	}, inSpec + "volumes[0].serviceAccount", denied},
	{"metrics volume", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{DownwardMetrics: &kubevirtv1.DownwardMetricsVolumeSource{}}
	}, inSpec + "volumes[0].downwardMetrics", denied},
	{"files of the pod", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerPath: &kubevirtv1.ContainerPathVolumeSource{Path: "/"}}
	}, inSpec + "volumes[0].containerPath", denied},
	{"metrics device", func(_ *machine, i *instance) { i.Domain.Devices.DownwardMetrics = &kubevirtv1.DownwardMetrics{} },
		inDevices + "downwardMetrics", denied},
	{"service account", func(_ *machine, i *instance) { i.ServiceAccountName = "admin" }, inSpec + "serviceAccountName", denied},
	{"clone from elsewhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "bank", Name: "db"}}})
	}, "spec.dataVolumeTemplates[0].spec.source.pvc", denied},
	{"snapshot from elsewhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: "bank", Name: "db"}}})
	}, "spec.dataVolumeTemplates[0].spec.source.snapshot", denied},
	{"source from elsewhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{SourceRef: &cdiv1.DataVolumeSourceRef{Kind: "DataSource", Namespace: ptr("bank"), Name: "db"}})
	}, "spec.dataVolumeTemplates[0].spec.sourceRef", denied},
	{"populated from elsewhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{})
		vm.Spec.DataVolumeTemplates[0].Spec.Storage.DataSourceRef = &corev1.TypedObjectReference{Namespace: ptr("bank"), Name: "db"}
	}, "spec.dataVolumeTemplates[0].spec", denied},
	{"disk made elsewhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}})
		vm.Spec.DataVolumeTemplates[0].Namespace = "bank"
	}, "spec.dataVolumeTemplates[0].metadata.namespace", denied},
	{"clone from its own namespace", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: vm.Namespace, Name: "db"}}})
	}, "", ""},
	{"clone of the template's image", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "images", Name: "ubuntu"}}})
	}, "", ""},
	{"image of the platform", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "quay.io/containerdisks/ubuntu"}}
	}, "", ""},
	{"image from anywhere", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "quay.io.example.com/containerdisks/ubuntu"}}
	}, inSpec + "volumes[0].containerDisk.image", denied},
	{"import from anywhere", func(vm *machine, _ *instance) {
		diskTemplate(vm, cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: ptr("docker://evil.example.com/a")}}})
	}, "spec.dataVolumeTemplates[0].spec.source.registry.url", denied},
	{"kernel from anywhere", func(_ *machine, i *instance) {
		i.Domain.Firmware.KernelBoot = &kubevirtv1.KernelBoot{Container: &kubevirtv1.KernelBootContainer{Image: "evil/kernel", KernelPath: "/vmlinuz"}}
	}, inDomain + "firmware.kernelBoot.container.image", denied},
	{"probe of another host", func(_ *machine, i *instance) {
		i.LivenessProbe = &kubevirtv1.Probe{Handler: kubevirtv1.Handler{TCPSocket: &corev1.TCPSocketAction{Host: "169.254.169.254"}}}
		second(i, kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}, masquerade)
		i.Networks, i.Domain.Devices.Interfaces = i.Networks[1:], i.Domain.Devices.Interfaces[1:]
	}, inSpec + "livenessProbe", denied},
	{"attachment from elsewhere", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "bank/vault"}}, bridge)
	}, inSpec + "networks[1].multus.networkName", denied},
	{"attachment of the platform", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "networks/vlan-7"}}, bridge)
	}, "", ""},
	{"host device", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "disk", DeviceName: "example.com/nvme"}}
	}, inDevices + "hostDevices[0]", denied},
	{"host device by claim", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "disk", DeviceName: "example.com/fpga",
			ClaimRequest: &kubevirtv1.ClaimRequest{ClaimName: "a", RequestName: "b"}}}
		i.ResourceClaims = []kubevirtv1.VirtualMachineInstanceResourceClaim{{Name: "a", ResourceClaimName: ptr("a")}}
	}, inDevices + "hostDevices[0]", denied},
	{"host device of the size", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "fpga", DeviceName: "example.com/fpga"}}
	}, "", ""},
	{"system priority", func(_ *machine, i *instance) { i.PriorityClassName = "system-cluster-critical" },
		inSpec + "priorityClassName", denied},
	{"priority that the size does not name", func(_ *machine, i *instance) { i.PriorityClassName = "urgent" },
		inSpec + "priorityClassName", denied},
	{"priority of the size", func(_ *machine, i *instance) { i.PriorityClassName = "important" }, "", ""},
	{"control plane by selector", func(_ *machine, i *instance) {
		i.NodeSelector = map[string]string{"node-role.kubernetes.io/master": ""}
	}, inSpec + "nodeSelector", denied},
	{"control plane by toleration", func(_ *machine, i *instance) {
		i.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists}}
	}, inSpec + "tolerations[0]", denied},
	{"every taint", func(_ *machine, i *instance) {
		i.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	},
		inSpec + "tolerations[0]", denied},
	{"control plane by affinity", func(_ *machine, i *instance) { nodeAffinity(i, corev1.NodeSelectorOpExists) },
		inSpec + "affinity.nodeAffinity", denied},
	{"control plane by preference", func(_ *machine, i *instance) {
		i.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: 1, Preference: nodeTerm(corev1.NodeSelectorOpIn)}}}}
	}, inSpec + "affinity.nodeAffinity", denied},
	{"away from the control plane", func(_ *machine, i *instance) { nodeAffinity(i, corev1.NodeSelectorOpDoesNotExist) }, "", ""},
}
