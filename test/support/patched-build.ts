import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One change to a compiled file below dist/src. */
export interface Patch {
	file: string;
	/** Stands in the file exactly once. */
	from: string;
	to: string;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** This build with a few lines changed, in a folder of its own: another version of the program, as one node of a fleet may run it. */
export class PatchedBuild {
	readonly folder = mkdtempSync(join(tmpdir(), 'rc-build-'));

	constructor(patches: readonly Patch[]) {
		cpSync(join(root, 'dist', 'src'), join(this.folder, 'dist', 'src'), { recursive: true });
		cpSync(join(root, 'package.json'), join(this.folder, 'package.json'));
		// Of its modules, not of a bundle, which would be without the patches.
		rmSync(join(this.folder, 'dist', 'src', 'bundle'), { recursive: true, force: true });
		const main = readFileSync(this.mainScript, 'utf8');
		writeFileSync(this.mainScript, main.replaceAll("import('./bundle/", "import('./"));
		symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
		for (const { file, from, to } of patches) {
			const path = join(this.folder, 'dist', 'src', file);
			const parts = readFileSync(path, 'utf8').split(from);
			if (parts.length !== 2) throw new Error(`${file} holds "${from}" ${parts.length - 1} times, expected once`);
			writeFileSync(path, parts.join(to));
		}
	}

	get mainScript(): string {
		return join(this.folder, 'dist', 'src', 'main.js');
	}

	remove(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** What version 1 takes of a handshake and of messages, as JSON Schemas. */
export const version1 = JSON.parse(readFileSync(join(root, 'test', 'support', 'protocol-1.json'), 'utf8')) as {
	handshake: Record<string, never>;
	messages: Record<string, never>;
};

const speaks = (min: number, max: number): Patch => ({
	file: 'fleet/links/handshake.js',
	from: 'protocolVersions = { min: 1, max: 2 }',
	to: `protocolVersions = { min: ${min}, max: ${max} }`,
});

/** Speaks version 1 alone, and closes a link on which anything beyond it is said. */
export const speaksVersion1: readonly Patch[] = [
	speaks(1, 1),
	{
		file: 'fleet/links/handshake.js',
		from: 'export const handshakeMessage = ',
		to: `export const handshakeMessage = z.fromJSONSchema(${JSON.stringify(version1.handshake)});\nconst handshakeAsItIs = `,
	},
	{
		file: 'fleet/messages.js',
		from: 'export const peerMessage = fits;',
		to: `export const peerMessage = z.fromJSONSchema(${JSON.stringify(version1.messages)});`,
	},
];

/** Speaks a version more: each message to a peer beyond version 1 has a field more, with a message of an unknown kind after it. */
export const speaksVersion3: readonly Patch[] = [
	speaks(1, 3),
	{
		file: 'fleet/links/frames.js',
		from: 'return spoken === unspoken ? null : JSON.stringify(spoken);',
		to: 'return spoken === unspoken ? null : JSON.stringify(version === 1 ? spoken : { ...spoken, weather: { degrees: 21 } });',
	},
	{
		file: 'fleet/fleet.js',
		from: 'const isSent = this.#links.send(to, text);',
		to: `const isSent = this.#links.send(to, text); if (text.includes('"weather"')) this.#links.send(to, '{"kind":"weather","degrees":21}');`,
	},
	// Its records have an entry of a kind of their own after each that there is today.
	{
		file: 'fleet/shell/shell.js',
		from: 'log.append(entries).then(stored',
		to: "log.append([...entries, { kind: 'weather', degrees: 21 }]).then(stored",
	},
];

/** Has no version in common with this build. */
export const speaksVersion3Alone: readonly Patch[] = [speaks(3, 3)];
