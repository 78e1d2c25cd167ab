package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

func nodeTerm(operator corev1.NodeSelectorOperator) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "node-role.kubernetes.io/control-plane", Operator: operator}}}
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
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			ObjectMeta: metav1.ObjectMeta{Name: "stolen"},
			Spec:       cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "bank", Name: "db"}}},
		}}
	}, "spec.dataVolumeTemplates[0].spec.source.pvc", denied},
	{"source from elsewhere", func(vm *machine, _ *instance) {
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			ObjectMeta: metav1.ObjectMeta{Name: "stolen"},
			Spec:       cdiv1.DataVolumeSpec{SourceRef: &cdiv1.DataVolumeSourceRef{Kind: "DataSource", Namespace: ptr("bank"), Name: "db"}},
		}}
	}, "spec.dataVolumeTemplates[0].spec.sourceRef", denied},
	{"clone from its own namespace", func(vm *machine, _ *instance) {
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			Spec: cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: vm.Namespace, Name: "db"}}},
		}}
	}, "", ""},
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
	}, inDevices + "hostDevices[0]", denied},
	{"host device of the size", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "fpga", DeviceName: "example.com/fpga"}}
	}, "", ""},
	{"system priority", func(_ *machine, i *instance) { i.PriorityClassName = "system-cluster-critical" },
		inSpec + "priorityClassName", denied},
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
