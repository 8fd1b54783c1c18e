const columns = 100;
const characterPixels = 7.8;
const linePixels = 18;
const marginPixels = 16;
const colors: readonly (readonly [pattern: RegExp, color: string])[] = [
	[/^\$ /, '#ffffff'],
	[/\b(refused|halted)\b/, '#ff7b72'],
	[/\b(back|completed)\b/, '#7ee787'],
	[/restarting/, '#e3b341'],
];
const plainColor = '#c9d1d9';

/** The lines of a terminal as SVG; a line is cut at the terminal's width. */
export function terminalPicture(lines: readonly string[]): string {
	const width = Math.ceil(columns * characterPixels + 2 * marginPixels);
	const height = lines.length * linePixels + 2 * marginPixels;
	const texts = lines.map((line, index) => {
		const color = colors.find(([pattern]) => pattern.test(line))?.[1] ?? plainColor;
		const y = marginPixels + (index + 1) * linePixels - 5;
		return `<text x="${marginPixels}" y="${y}" fill="${color}" xml:space="preserve">${escaped(cut(line))}</text>`;
	});
	const style = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13"';
	const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${style} role="img">`;
	return `${[head, '<title>A roll, and a release that is refused</title>', `<rect width="100%" height="100%" rx="8" fill="#0d1117"/>`, ...texts, '</svg>'].join('\n')}\n`;
}

const cut = (line: string): string => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line);

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
