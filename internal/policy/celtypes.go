package policy

import (
	"cmp"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// typeProvider knows the object types of the variables, so that a misspelt field is found when a rule
// is compiled. At evaluation the objects are plain maps.
type typeProvider struct {
	types.Provider
	fields map[string]map[string]*types.Type
}

// FindStructType implements types.Provider.
func (p typeProvider) FindStructType(name string) (*types.Type, bool) {
	if p.fields[name] != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p typeProvider) FindStructFieldNames(name string) ([]string, bool) {
	if fields := p.fields[name]; fields != nil {
		names := make([]string, 0, len(fields))
		for f := range fields {
			names = append(names, f)
		}
		slices.Sort(names)
		return names, true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p typeProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if fields := p.fields[name]; fields != nil {
		t, ok := fields[field]
		return &types.FieldType{Type: t}, ok
	}
	return p.Provider.FindStructFieldType(name, field)
}

// NewValue implements types.Provider: rules cannot make objects of our types.
func (p typeProvider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if p.fields[name] != nil {
		return types.NewErr("%s cannot be made in a rule", name)
	}
	return p.Provider.NewValue(name, fields)
}

// sortingAdapter makes maps iterate in the order of their keys. Go's own order changes from run to
// run, and with it the result of a rule that turns a map into a list.
type sortingAdapter struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (a sortingAdapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		return sortedMap{types.NewStringInterfaceMap(a, v)}
	case map[ref.Val]ref.Val:
		return sortedMap{types.NewRefValMap(a, v)}
	case []any:
		return types.NewDynamicList(a, v)
	}
	return a.Adapter.NativeToValue(v)
}

// sortLiterals does for maps that are written in a rule what sortingAdapter does for given ones.
func sortLiterals(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return mapLiteral{c}, nil
	}
	return i, nil
}

type mapLiteral struct {
	interpreter.InterpretableConstructor
}

// Exec implements interpreter.InterpretableV2.
func (l mapLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := l.InterpretableConstructor.Exec(frame)
	if m, ok := v.(traits.Mapper); ok {
		return sortedMap{m}
	}
	return v
}

// Eval implements interpreter.Interpretable.
func (l mapLiteral) Eval(ctx interpreter.Activation) ref.Val { return l.Exec(interpreter.AsFrame(ctx)) }

type sortedMap struct{ traits.Mapper }

// Iterator implements traits.Iterable.
func (m sortedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return types.NewRefValList(types.DefaultTypeAdapter, keys).Iterator()
}

func compareKeys(a, b ref.Val) int {
	if c := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); c != 0 {
		return c
	}
	if comparer, ok := a.(traits.Comparer); ok {
		if n, ok := comparer.Compare(b).(types.Int); ok {
			return int(n)
		}
	}
	return 0
}
