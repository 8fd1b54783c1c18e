import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mainScript } from '../fleet/nodes.js';
import { readPage } from './pages.js';

export interface Ran {
	code: number;
	stdout: string;
	stderr: string;
}

/**
 * A shell at home, beside the folder of the authority, in which the lines of a page are typed as they stand: ssh, scp and
 * systemctl reach the folders of the nodes, each with rollcall.yaml, tls and state in it.
 */
export class HomeShell {
	readonly home: string;
	readonly #programs: string;

	constructor(private readonly folder: string) {
		this.home = join(folder, 'home');
		this.#programs = join(folder, 'bin');
		mkdirSync(this.home, { recursive: true });
		mkdirSync(this.#programs);
		const program = `'${process.execPath}' '${mainScript}'`;
		const host = `'${folder}'/$host`;
		const shims: Record<string, string> = {
			rollcall: `exec ${program} "$@"`,
			ssh: [
				'host=$1; shift; what=$1; shift',
				`case "$what $*" in`,
				`'systemctl reload rollcall') exec kill -HUP $(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' ${host}/state/lock);;`,
				`rollcall*) exec ${program} "$@" --config ${host}/rollcall.yaml </dev/null;;`,
				`esac; echo "no $what here" >&2; exit 127`,
			].join('\n'),
			scp: `for last; do :; done; host=\${last%%:*}; for file; do case $file in *:*) ;; *) cat "$file" > ${host}/tls/\${file##*/};; esac; done`,
		};
		for (const [name, text] of Object.entries(shims))
			writeFileSync(join(this.#programs, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
	}

	/** From now on a host answers to another name, too. */
	rename(host: string, name: string): void {
		symlinkSync(host, join(this.folder, name));
	}

	run(line: string): Promise<Ran> {
		return new Promise((resolve) => {
			const env = { PATH: `${this.#programs}:${process.env['PATH'] ?? ''}` };
			execFile('bash', ['--norc', '-c', `set -o pipefail; ${line}`], { cwd: this.home, env }, (error, stdout, stderr) =>
				resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
			);
		});
	}
}

/** The section of a page of the manual with this heading; without one the text above the first heading. */
export function sectionOf(page: string, heading = ''): string {
	const [first = '', ...sections] = readPage(`src/manual/${page}.md`).split(/^## /m);
	if (heading === '') return first;
	const found = sections.find((text) => text.startsWith(`${heading}\n`));
	if (found === undefined) throw new Error(`${page} has no section "${heading}"`);
	return found;
}

/** The blocks of commands in a section, line by line, without what a comment says. */
export const commandBlocks = (section: string): string[][] =>
	[...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) =>
		block
			.trim()
			.split('\n')
			.map((line) => line.replace(/\s+#.*$/, '')),
	);
