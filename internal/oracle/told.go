package oracle

// Told are scripts in which the bot and the oracle once differed, and such as hardly come by chance.
var Told = map[string]Script{
	"an approval is of a head that was pushed over before anybody judged it": {Setup{Changes: []Kind{CreateTest}}, [][]Step{
		{{Who: Alice, Does: Touches}, {Who: Bob, Does: Approves}, {Who: Alice, Does: Touches}, {Who: Frank, Does: Touches}},
	}},
	"who pushed takes an approval back in the same minute": {Setup{Changes: []Kind{CreateTest}}, [][]Step{
		{{Who: Bob, Does: Approves}}, {{Who: Alice, Does: Touches}}, {{Who: Alice, Does: Dismisses, Whom: Bob}},
	}},
	"who pushed takes an own veto back in the same minute": {Setup{Changes: []Kind{CreateTest}}, [][]Step{
		{{Who: Bob, Does: Touches}}, {{Who: Bob, Does: Objects}}, {{Who: Bob, Does: Dismisses, Whom: Bob}}, {{Who: Frank, Does: Approves}},
	}},
	"another form makes nobody a contributor": {Setup{Changes: []Kind{CreateProd}}, [][]Step{
		{{Who: Frank, Does: Reformats}}, {{Who: Frank, Does: Approves}}, {{Who: Bob, Does: Merges}},
	}},
	"a veto from the time of a draft": {Setup{Changes: []Kind{CreateTest}, Draft: true}, [][]Step{
		{{Who: Bob, Does: Objects}}, {{Who: Alice, Does: Touches}}, {{Who: Alice, Does: MakesReady}}, {{Who: Bob, Does: Dismisses, Whom: Bob}},
	}},
	"back to what was approved": {Setup{Changes: []Kind{CreateProd}}, [][]Step{
		{{Who: Bob, Does: Approves}}, {{Who: Alice, Does: Writes}}, {{Who: Alice, Does: WritesBack}}, {{Who: Bob, Does: ApprovesOld}}, {{Who: Bob, Does: Merges}},
	}},
	"closed and reopened in a moment": {Setup{Changes: []Kind{CreateTest}}, [][]Step{
		{{Who: Bob, Does: Approves}}, {{Who: Alice, Does: Closes}, {Who: Alice, Does: Reopens}}, {{Who: Bob, Does: Merges}}, {{Who: Dave, Does: Bypasses}},
	}},
	"a held switch": {Setup{Changes: []Kind{SwitchTest}, Draft: true}, [][]Step{
		{{Who: Alice, Does: Holds}}, {{Who: Alice, Does: MakesReady}}, {{Who: Alice, Does: Unholds}},
	}},
	"a switch that somebody objects to": {Setup{Changes: []Kind{SwitchTest}, Draft: true}, [][]Step{
		{{Who: Erin, Does: Objects}}, {{Who: Alice, Does: MakesReady}}, {{Who: Alice, Does: Dismisses, Whom: Erin}}, {{Who: Erin, Does: Approves}},
	}},
	"a deletion that nobody has confirmed": {Setup{Changes: []Kind{DeleteTest, DeleteProd}}, [][]Step{
		{{Who: Bob, Does: Approves}, {Who: Bob, Does: Confirms}, {Who: Alice, Does: Confirms, Change: 1}}, {{Who: Bob, Does: Merges}}, {{Who: Dave, Does: Bypasses}},
	}},
	"a deletion is confirmed anew after another aim": {Setup{Changes: []Kind{DeleteTest}}, [][]Step{
		{{Who: Alice, Does: Confirms}}, {{Who: Alice, Does: AimsAway}}, {{Who: Alice, Does: AimsBack}}, {{Who: Alice, Does: Confirms}},
	}},
	"an approval of two changes, and then another that carries a plan for one": {Setup{Changes: []Kind{CreateTest, CreateProd}}, [][]Step{
		{{Who: Bob, Does: Approves}}, {{Who: Bob, Does: PlansAlong, Change: 1, Way: 1}}, {{Who: Bob, Does: Approves}}, {{Who: Bob, Does: Merges}},
	}},
}
