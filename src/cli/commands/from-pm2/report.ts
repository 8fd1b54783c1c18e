import { count } from '../../output/format.js';
import { clean } from '../../output/terminal.js';
import type { Remark } from './types.js';

/** Every remark as a line, under the app that it is about. */
export function remarksText(remarks: readonly Remark[]): string {
	const lines: string[] = [];
	let title: string | null = null;
	const width = Math.max(0, ...remarks.map(({ field }) => field.length));
	for (const { app, field, outcome, text } of remarks) {
		const heading = app === null ? 'the file as a whole' : `app ${app}`;
		if (heading !== title) lines.push(clean(heading));
		title = heading;
		lines.push(clean(`  ${outcome.padEnd(8)}  ${field.padEnd(width)}  ${text}`));
	}
	return [...lines, summary(remarks)].join('\n');
}

function summary(remarks: readonly Remark[]): string {
	const number = (outcome: Remark['outcome']) => remarks.filter((remark) => remark.outcome === outcome).length;
	return `${count(remarks.length, 'field')}: ${number('taken')} taken, ${number('changed')} changed, ${number('left out')} left out`;
}

/** What the configuration itself should say: the apps that are not in it. */
export const notesOf = (remarks: readonly Remark[]): string[] =>
	remarks
		.filter(({ text }) => text.startsWith('the whole app is left out'))
		.map(({ app, text }) => `${app ?? 'apps'}: ${text}`);
