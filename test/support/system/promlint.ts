/** The rules that `promtool check metrics` applies to an exposition, told as `<metric>: <finding>`. */
export function lintMetrics(text: string): string[] {
	const findings: string[] = [];
	const families = new Map<string, { help: string; type: string; labels: Set<string> }>();
	for (const line of text.split('\n')) {
		const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
		if (comment) {
			const name = String(comment[2]);
			const family = families.get(name) ?? { help: '', type: '', labels: new Set<string>() };
			if (comment[1] === 'HELP') family.help = String(comment[3]);
			else if (family.type) findings.push(`${name}: is declared twice`);
			else family.type = String(comment[3]);
			families.set(name, family);
			continue;
		}
		const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line);
		if (!sample) {
			if (line.trim() !== '') findings.push(`${line}: is no sample`);
			continue;
		}
		const name = String(sample[1]);
		const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
		if (!family) findings.push(`${name}: has no family`);
		for (const [, label] of (sample[2] ?? '').matchAll(/(\w+)="/g)) family?.labels.add(String(label));
	}
	for (const [name, family] of families) {
		findings.push(
			...lintFamily(name, family.help, family.type, [...family.labels]).map((found) => `${name}: ${found}`),
		);
	}
	return findings;
}

const abbreviations = ['s', 'ms', 'us', 'ns', 'sec', 'b', 'kb', 'mb', 'gb', 'tb', 'pb', 'm', 'h', 'd'];
const unitsNotBase =
	/(^|_)(milli|micro|nano|kilo|mega|giga|kibi|mebi)?(minutes|hours|days|weeks|percent|bits|celsius_degrees|milliseconds|microseconds|nanoseconds|kilobytes|megabytes|gigabytes|kibibytes|mebibytes|gibibytes)(_|$)/;

function lintFamily(name: string, help: string, type: string, labels: string[]): string[] {
	const findings: string[] = [];
	const parts = name.split('_');
	const isSet = type === 'histogram' || type === 'summary';
	if (help === '') findings.push('no help text');
	if (!['counter', 'gauge', 'histogram', 'summary'].includes(type)) findings.push(`unknown type ${type}`);
	if (type === 'counter' && !name.endsWith('_total')) findings.push('counter metrics should have "_total" suffix');
	if (type !== 'counter' && name.endsWith('_total')) {
		findings.push('non-counter metrics should not have "_total" suffix');
	}
	if (!isSet && /_(bucket|count|sum)$/.test(name)) findings.push('non-histogram metrics should not have that suffix');
	if (!isSet && labels.some((label) => label === 'le' || label === 'quantile')) findings.push('reserved label');
	if (unitsNotBase.test(name)) findings.push('use base units');
	if (parts.some((part) => abbreviations.includes(part)))
		findings.push('metric names should not contain abbreviated units');
	if (parts.some((part) => ['counter', 'gauge', 'histogram', 'summary'].includes(part))) {
		findings.push('metric name should not include type');
	}
	if (name.includes(':')) findings.push('metric names should not contain ":"');
	if (/[a-z][A-Z]/.test(name)) findings.push('metric names should be written in snake_case');
	if (labels.some((label) => /[a-z][A-Z]/.test(label))) findings.push('label names should be written in snake_case');
	return findings;
}
