#include "cli/images.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPng("\x89PNG\r\n\x1a\n rest", 13);

class Scratch {
  public:
    Scratch() {
        std::string name = fs::temp_directory_path() / "hearth-images-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Scratch() { fs::remove_all(path_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    fs::path write(const std::string& name, std::string_view bytes) const {
        std::ofstream(path_ / name, std::ios::binary) << bytes;
        return path_ / name;
    }
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

std::vector<std::string> paths_in(std::string_view text) {
    std::vector<std::string> paths;
    for (const ImagePath& found : find_image_paths(text)) paths.push_back(found.path);
    return paths;
}

using Paths = std::vector<std::string>;

TEST(FindImagePaths, FindsWordsThatEndLikeImages) {
    EXPECT_EQ(paths_in("What is on ./a.png, and on (b.JPG)?"), (Paths{"./a.png", "b.JPG"}));
    EXPECT_EQ(paths_in("/x/y.webp\nz.jpeg."), (Paths{"/x/y.webp", "z.jpeg"}));
    EXPECT_EQ(paths_in("no image here.txt png .png"), Paths{});
    EXPECT_EQ(paths_in(""), Paths{});
}

TEST(FindImagePaths, KnowsQuotesAndBackslashes) {
    EXPECT_EQ(paths_in("see 'my photo.png' and \"an other.jpg\"."),
              (Paths{"my photo.png", "an other.jpg"}));
    EXPECT_EQ(paths_in("see my\\ photo.png now"), (Paths{"my photo.png"}));
    EXPECT_EQ(paths_in("don't open cat.png, it isn't one"), (Paths{"cat.png"}));
    EXPECT_EQ(paths_in("'unclosed.png"), (Paths{"'unclosed.png"}));
}

TEST(FindImagePaths, SurvivesHostileText) {
    EXPECT_EQ(paths_in("\\"), Paths{});
    EXPECT_EQ(paths_in("'''\"\"\" \\\\ ((("), Paths{});
    EXPECT_EQ(paths_in(std::string(1 << 20, '(') + "a.png").size(), 1U);
    EXPECT_EQ(paths_in("a" + std::string(1 << 20, ')')), Paths{});
    EXPECT_EQ(paths_in(std::string(1 << 16, '\'') + "a.png").size(), 1U);
}

TEST(ReadImage, TakesTheThreeFormats) {
    const Scratch scratch;
    EXPECT_TRUE(read_image(scratch.write("a.png", kPng)));
    EXPECT_TRUE(read_image(scratch.write("a.jpg", "\xFF\xD8\xFF\xE0 rest")));
    EXPECT_TRUE(read_image(scratch.write("a.webp", "RIFF1234WEBPVP8 ")));
    EXPECT_EQ(*read_image(scratch.write("b.png", std::string_view("\x89PNG\r\n\x1a\n", 8))),
              "iVBORw0KGgo=");
}

TEST(ReadImage, RefusesEverythingElse) {
    const Scratch scratch;
    EXPECT_EQ(read_image(scratch.path() / "none.png").error().code, Code::NotFound);
    EXPECT_EQ(read_image(scratch.path()).error().code, Code::NotFound);
    EXPECT_EQ(read_image(scratch.write("a.png", "text")).error().code, Code::InvalidArgument);
    EXPECT_EQ(read_image(scratch.write("b.png", "")).error().code, Code::InvalidArgument);
    std::string large(kImageBytesMax, 'x');
    large.replace(0, kPng.size(), kPng);
    EXPECT_TRUE(read_image(scratch.write("c.png", large)));
    EXPECT_EQ(read_image(scratch.write("d.png", large + "x")).error().code, Code::TooLarge);
}

TEST(TakeImages, TakesTheFilesOutOfTheText) {
    const Scratch scratch;
    const std::string file = scratch.write("a b.png", kPng);
    const auto taken = take_images("What is on '" + file + "' then?");
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->text, "What is on  then?");
    EXPECT_EQ(taken->images.size(), 1U);
    EXPECT_EQ(taken->names, Paths{file});
    EXPECT_EQ(take_images("'" + file + "'")->text, "");
}

TEST(TakeImages, LeavesPathsOfNoFileInTheText) {
    const auto taken = take_images("  rename none-such.png to b.png ");
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->text, "  rename none-such.png to b.png ");
    EXPECT_TRUE(taken->images.empty());
}

TEST(TakeImages, RefusesAFileThatIsNoImageAndTooMany) {
    const Scratch scratch;
    EXPECT_FALSE(take_images(scratch.write("text.png", "text").string()));
    const std::string file = scratch.write("a.png", kPng);
    std::string text;
    for (std::size_t i = 0; i < kImagesMax; ++i) text += file + " ";
    EXPECT_EQ(take_images(text)->images.size(), kImagesMax);
    EXPECT_FALSE(take_images(text + file));
}

TEST(ResolvePath, KnowsQuotesBackslashesAndHome) {
    ::setenv("HOME", "/nowhere", 1);
    EXPECT_EQ(resolve_path("'a b.png'"), "a b.png");
    EXPECT_EQ(resolve_path("a\\ b.png"), "a b.png");
    EXPECT_EQ(resolve_path("~/a.png"), "/nowhere/a.png");
    EXPECT_EQ(resolve_path("\""), "\"");
}

}  // namespace
}  // namespace hearth::cli
