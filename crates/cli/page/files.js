// Files that are dropped or pasted anywhere on the page.

/** The files of a drop or a paste; a dropped folder is none. */
export function filesOf(transfer) {
  return [...(transfer?.items ?? [])]
    .filter((item) => item.kind === 'file' && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile())
    .filter(Boolean);
}

export function watchDrops(onFiles) {
  const root = document.documentElement;
  let depth = 0; // dragenter and dragleave come for every element the pointer crosses
  const carriesFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files');

  addEventListener('dragenter', (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    root.dataset.dropping = 'true';
  });
  addEventListener('dragleave', (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) delete root.dataset.dropping;
  });
  addEventListener('dragover', (event) => {
    // Without this the browser would leave the page and open the file.
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    delete root.dataset.dropping;
    onFiles(filesOf(event.dataTransfer));
  });
}
